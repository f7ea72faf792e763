"""The components of a checkpoint folder beside its transformer, by what its files and index say.

Generation and training load them here, so that a model of another make can be sampled and trained
alike.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.autoencoder import PatchAutoencoder, VideoAutoencoder, WanAutoencoder
from layert2v_engine.model.checkpoint import CheckpointConfig
from layert2v_engine.model.matte_adapter import MatteProjection, merge_lora
from layert2v_engine.model.text import MiniLMTextEncoder, TextEncoder, UMT5TextEncoder
from layert2v_engine.model.weights_check import check_weights

DECODER_LORA = "decoder_lora.safetensors"


def load_autoencoder(folder: Path, device: torch.device) -> VideoAutoencoder:
    """Load the autoencoder in a folder (config.json and weights), in float32, frozen.

    Raises BadCheckpoint for a kind this engine does not know.
    """
    check_weights(folder)
    kind = json.loads((folder / "config.json").read_text()).get("_class_name")
    if kind == AutoencoderKLWan.__name__:
        vae = AutoencoderKLWan.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        return WanAutoencoder(vae.float().to(device).eval().requires_grad_(False))
    if kind == PatchAutoencoder.__name__:
        patch = PatchAutoencoder.from_pretrained(
            folder, use_safetensors=True, local_files_only=True
        )
        return patch.float().to(device).eval().requires_grad_(False)
    raise BadCheckpoint(
        f"The autoencoder in {folder} is a {kind}, which this engine does not know.",
        "Use the engine version that the checkpoint was made for.",
    )


def load_matte_vae(autoencoder: VideoAutoencoder, folder: Path) -> VideoAutoencoder:
    """Return the autoencoder with a mask-adapted decoder, if its LoRA is in the folder."""
    lora = folder / DECODER_LORA
    if not lora.is_file() or not isinstance(autoencoder, PatchAutoencoder):
        return autoencoder
    matte_vae = copy.copy(autoencoder)
    matte_vae._modules = dict(autoencoder._modules)
    matte_vae.decoder = merge_lora(autoencoder.decoder, load_file(lora))
    return matte_vae


def load_matte_projection(folder: Path, device: torch.device) -> torch.nn.Module:
    """Load the ``MatteProjection`` in a folder; an identity where a model has none."""
    if not (folder / "config.json").is_file():
        return torch.nn.Identity()
    check_weights(folder)
    projection = MatteProjection.from_pretrained(
        folder, use_safetensors=True, local_files_only=True
    )
    return projection.float().to(device).eval().requires_grad_(False)


def load_text_encoder(
    folder: Path, config: CheckpointConfig, device: torch.device, dtype: torch.dtype
) -> TextEncoder:
    """Load the text encoder a checkpoint declares: from its folder, or an installed one."""
    if config.text_encoder == "umt5":
        umt5 = UMT5TextEncoder(folder, max_tokens=config.text_tokens, dtype=dtype)
        return umt5.to(device)
    return MiniLMTextEncoder(max_tokens=config.text_tokens).to(device)
