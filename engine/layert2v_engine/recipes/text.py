"""What a fixed prompt means to Wan, computed once and kept: 8 MB for an encoder of 11 GB."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from layert2v.stack import NetworkRecord
from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.components import working_dtype
from layert2v_engine.model.text import UMT5TextEncoder
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.weights.folder import WeightsFolder

ENCODER = "umt5-xxl"
TOKENS = 512  # Wan was trained on exactly so many; diffusers counts on it where images take part
_FOLDER = "text"  # of the folder of weights
_KEY = "states"


def encoder_record(weights: WeightsFolder) -> NetworkRecord:
    """Return what a manifest says of the encoder, also where only what it said was kept."""
    state = weights.state(ENCODER)
    return state.network.record(weights.sha256(state) if state.is_usable else "")


def stored_text(prompts: Sequence[str], weights: WeightsFolder) -> Path:
    """Return the file that keeps the states of these prompts."""
    name = hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:16]
    return weights.root / _FOLDER / f"{name}.safetensors"


def encode_text(
    prompts: Sequence[str], weights: WeightsFolder, device: torch.device, *, is_kept: bool = True
) -> Tensor:
    """Return the states ``[N, 512, D]`` of N prompts, 0 after each one's last token.

    They are read where they were kept; otherwise the encoder is loaded, used and given back, and
    where ``is_kept`` they are kept. Raises WeightsMissing where there is neither, BadCheckpoint.
    """
    path = stored_text(prompts, weights)
    if path.is_file():
        return _read(path)
    folder = weights.require(ENCODER)
    dtype = working_dtype(folder / "text_encoder", device)
    encoder = UMT5TextEncoder(folder, max_tokens=TOKENS, dtype=dtype).to(device)
    states = encoder.encode(prompts).states.to("cpu", torch.bfloat16)
    if not is_kept:
        return states
    with suppress(OSError):  # a folder of somebody else's: then it takes the encoder each time
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".tmp")
        save_file({_KEY: states.contiguous()}, partial)
        partial.replace(path)
    return states


def _read(path: Path) -> Tensor:
    try:
        states = load_tensors(path)[_KEY]
    except (OSError, KeyError, BadCheckpoint) as error:
        raise BadCheckpoint(f"{path} cannot be read, or is not whole.", "Delete it.") from error
    if states.ndim != 3 or states.shape[1] != TOKENS:
        raise BadCheckpoint(f"{path} has no states of {TOKENS} tokens.", "Delete it.")
    return states
