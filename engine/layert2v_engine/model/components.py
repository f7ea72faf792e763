"""The parts of a checkpoint folder beside its transformer, by what its files and index say.

Generation and training load them here, so that a model of another make can be drawn with and
trained on alike.
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

DECODER_LORA = "decoder_lora.safetensors"


def load_autoencoder(folder: Path, device: torch.device) -> VideoAutoencoder:
    """The autoencoder in `folder` (config.json and weights), in float32, frozen.

    Raises BadCheckpoint for a kind this engine does not know.
    """
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


def adapted(autoencoder: VideoAutoencoder, folder: Path) -> VideoAutoencoder:
    """The same with the decoder of `model.matte`, if its adaptation is in `folder`."""
    lora = folder / DECODER_LORA
    if not lora.is_file() or not isinstance(autoencoder, PatchAutoencoder):
        return autoencoder
    opacity = copy.copy(autoencoder)
    opacity._modules = dict(autoencoder._modules)
    opacity.decoder = merge_lora(autoencoder.decoder, load_file(lora))
    return opacity


def load_projection(folder: Path, device: torch.device) -> torch.nn.Module:
    """What moves latents of mattes to where they are easy; nothing where a model has none."""
    if not (folder / "config.json").is_file():
        return torch.nn.Identity()
    projection = MatteProjection.from_pretrained(
        folder, use_safetensors=True, local_files_only=True
    )
    return projection.float().to(device).eval().requires_grad_(False)


def load_text_encoder(
    folder: Path, config: CheckpointConfig, device: torch.device, dtype: torch.dtype
) -> TextEncoder:
    """The text encoder a checkpoint declares: in its folder, or installed beside the engine."""
    if config.text_encoder == "umt5":
        umt5 = UMT5TextEncoder(folder, max_tokens=config.text_tokens, dtype=dtype)
        return umt5.to(device)
    return MiniLMTextEncoder(max_tokens=config.text_tokens).to(device)
