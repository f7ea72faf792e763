"""A whole checkpoint with random weights: draws nothing one would look at, through every real part."""

from __future__ import annotations

from pathlib import Path

import torch

from layert2v.spec import ModelInfo
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.checkpoint import (
    CheckpointConfig,
    Whitening,
    save_transformer,
    write_index,
)
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

CHANNELS = 4
TRANSFORMER = {
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 384,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
}
INFO = ModelInfo(
    name="mini",
    title="Tiny",
    digest="",
    width_range=(32, 256),
    height_range=(32, 256),
    size_step=16,
    frames_range=(1, 17),
    frames_step=4,
    max_foregrounds=2,
    default_width=32,
    default_height=32,
    default_frames=5,
    default_fps=12.0,
    default_steps=2,
    default_guidance=2.0,
    steps_range=(1, 500),
    guidance_range=(1.0, 8.0),
    vocabulary={"subject": ("fox",), "action": ("running",), "place": ("forest",), "time": ("day",)},
    colorspaces=("lin_rec709_scene", "acescg_ap1_scene"),
)


def write_tiny_model(folder: Path) -> Path:
    """Make a folder of checkpoints that holds the one; returns it, for `--models`."""
    model = folder / INFO.name
    torch.manual_seed(0)
    save_transformer(LayeredWanTransformer3DModel(**TRANSFORMER), model / "transformer")
    autoencoder = PatchAutoencoder(
        latent_channels=CHANNELS, decoder_widths=(16, 8), decoder_blocks=1
    )
    autoencoder.save_pretrained(model / "autoencoder")
    plain = Whitening(mean=(0.0,) * CHANNELS, std=(1.0,) * CHANNELS)
    whitening = {role.value: plain for role in StreamRole}
    write_index(CheckpointConfig(info=INFO, whitening=whitening, text_tokens=32), model)
    return folder
