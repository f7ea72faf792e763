"""The components of a checkpoint folder beside its transformer, by what its files and index say.

Generation and training load them here, so that a model of another make can be sampled and trained
alike.
"""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from transformers.utils import logging as transformers_logging

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.autoencoder import (
    PatchAutoencoder,
    PatchDecoder,
    VideoAutoencoder,
    WanAutoencoder,
)
from layert2v_engine.model.checkpoint import (
    CheckpointConfig,
    load_transformer,
    raise_bad_checkpoint,
)
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan, diffusers_logging
from layert2v_engine.model.layout_prior import LayoutPrior
from layert2v_engine.model.lora import merge_lora
from layert2v_engine.model.matte_adapter import MatteProjection, WanMatteProjection
from layert2v_engine.model.memory import (
    MemoryOptions,
    move,
    place_text_encoder,
    place_transformer,
)
from layert2v_engine.model.text import MiniLMTextEncoder, TextEncoder, UMT5TextEncoder
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.model.weights_check import check_weights
from layert2v_engine.tensor_file import load_tensors, open_tensors

_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
MATTE = "matte"
DECODER_LORA = "decoder_lora.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """The networks of one checkpoint."""

    transformer: LayeredWanTransformer3DModel
    vae: VideoAutoencoder
    matte_vae: VideoAutoencoder  # the same, its decoder adapted to mattes
    text_encoder: TextEncoder
    matte_projection: torch.nn.Module  # latents of mattes and shadows to where they are decoded
    layout_prior: LayoutPrior | None = None  # where subjects usually are, if the model knows


def load_components(
    folder: Path, config: CheckpointConfig, device: torch.device, memory: MemoryOptions
) -> Components:
    """Load the networks of a checkpoint folder onto a device, as far as ``memory`` lets them lie.

    Raises ModelNotFound, BadCheckpoint.
    """
    diffusers_logging.disable_progress_bar()  # the caller shows progress
    transformers_logging.disable_progress_bar()
    dtype = working_dtype(folder / "transformer", device)
    transformer = load_transformer(folder / "transformer", dtype=dtype)
    transformer = place_transformer(transformer, device, memory)
    with raise_bad_checkpoint(f"The autoencoder of {folder}"):
        vae = load_autoencoder(folder / "autoencoder", device)
        matte_vae = load_matte_vae(vae, folder / MATTE)
        matte_projection = load_matte_projection(folder / MATTE, device)
    with raise_bad_checkpoint(f"The text encoder of {folder}"):
        text_encoder = place_text_encoder(load_text_encoder(folder, config, device), device, memory)
    return Components(
        transformer=transformer,
        vae=vae,
        matte_vae=matte_vae,
        text_encoder=text_encoder,
        matte_projection=matte_projection,
        layout_prior=LayoutPrior.load(folder),
    )


def load_autoencoder(folder: Path, device: torch.device) -> VideoAutoencoder:
    """Load the autoencoder in a folder (config.json and weights), in float32, frozen.

    Raises BadCheckpoint for a kind this engine does not know.
    """
    check_weights(folder)
    kind = json.loads((folder / "config.json").read_text()).get("_class_name")
    if kind == AutoencoderKLWan.__name__:
        vae = AutoencoderKLWan.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        return WanAutoencoder(move(vae.float(), device).eval().requires_grad_(False))
    if kind == PatchAutoencoder.__name__:
        patch = PatchAutoencoder.from_pretrained(
            folder, use_safetensors=True, local_files_only=True
        )
        return move(patch.float(), device).eval().requires_grad_(False)
    raise BadCheckpoint(
        f"The autoencoder in {folder} is a {kind}, which this engine does not know.",
        "Use the engine version that the checkpoint was made for.",
    )


def load_matte_vae(autoencoder: VideoAutoencoder, folder: Path) -> VideoAutoencoder:
    """Return the autoencoder with a mask-adapted decoder, if its LoRA is in the folder.

    Its keys name convolutions of a small model's decoder, or of Wan's whole autoencoder.
    """
    path = folder / DECODER_LORA
    if not path.is_file():
        return autoencoder
    lora = load_tensors(path)
    if isinstance(autoencoder, WanAutoencoder):
        return WanAutoencoder(cast(AutoencoderKLWan, merge_lora(autoencoder.vae, lora)))
    if isinstance(autoencoder, PatchAutoencoder):
        matte_vae = copy.copy(autoencoder)
        matte_vae._modules = dict(autoencoder._modules)
        matte_vae.decoder = cast(PatchDecoder, merge_lora(autoencoder.decoder, lora))
        return matte_vae
    raise ValueError(f"no LoRA is known for a {type(autoencoder).__name__}")


def load_matte_projection(folder: Path, device: torch.device) -> torch.nn.Module:
    """Load the projection of mattes in a folder; an identity where a model has none."""
    if not (folder / "config.json").is_file():
        return torch.nn.Identity()
    check_weights(folder)
    kind = json.loads((folder / "config.json").read_text()).get("_class_name")
    model = WanMatteProjection if kind == WanMatteProjection.__name__ else MatteProjection
    projection: torch.nn.Module = model.from_pretrained(
        folder, use_safetensors=True, local_files_only=True
    )
    return move(projection.float(), device).eval().requires_grad_(False)


def load_text_encoder(folder: Path, config: CheckpointConfig, device: torch.device) -> TextEncoder:
    """Load the text encoder a checkpoint declares: from its folder, or an installed one.

    It lies on the CPU, in the type that suits ``device``.
    """
    if config.text_encoder == "umt5":
        dtype = working_dtype(folder / "text_encoder", device)
        return UMT5TextEncoder(folder, max_tokens=config.text_tokens, dtype=dtype)
    return MiniLMTextEncoder(max_tokens=config.text_tokens)


def working_dtype(folder: Path, device: torch.device) -> torch.dtype:
    """Return the type that the weights in a folder are held in.

    That is bfloat16 on a GPU. A CPU takes them as most of them are stored, since 11 GB of UMT5 in
    bfloat16 may fit where 22 GB do not; float16, which few processors multiply, becomes float32.
    Raises BadCheckpoint.
    """
    if device.type != "cpu" or stored_dtype(folder) is torch.bfloat16:
        return torch.bfloat16
    return torch.float32


def stored_dtype(folder: Path) -> torch.dtype | None:
    """Return the type of most weights in a folder, None where there are none.

    Raises BadCheckpoint.
    """
    sizes: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        with open_tensors(path) as file:
            for name in file.keys():  # noqa: SIM118 - it is no dictionary
                tensor = file.get_slice(name)
                sizes[tensor.get_dtype()] += math.prod(tensor.get_shape())
    return _DTYPES.get(max(sizes, key=sizes.__getitem__, default=""))
