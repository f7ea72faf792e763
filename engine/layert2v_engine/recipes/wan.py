"""Networks of Wan from local folders: never online, safetensors only, no code of the folder's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from layert2v_engine.model.checkpoint import raise_bad_checkpoint
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.model.weights_check import check_weights
from layert2v_engine.weights.folder import WeightsFolder

SHIFT = 5.0  # of the noise levels, in the configuration that these networks were published with
# The negative prompt that Wan's authors publish with their models, in their words.
NEGATIVE_PROMPT = Path(__file__).with_name("negative_prompt.txt").read_text("utf-8").strip()


def load_network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a network of diffusers from its folder, on the CPU, frozen. Raises BadCheckpoint."""
    with raise_bad_checkpoint(str(folder)):
        check_weights(folder)
        network = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    return network.eval().requires_grad_(False)


def load_vae(weights: WeightsFolder) -> AutoencoderKLWan:
    """Load Wan's autoencoder in float32, on the CPU. Raises WeightsMissing, BadCheckpoint."""
    vae: AutoencoderKLWan = load_network(
        AutoencoderKLWan, weights.require("wan2.1-vae"), torch.float32
    )
    return vae
