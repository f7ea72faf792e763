"""A real checkpoint with random weights, small enough to generate a clip in a second."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from layert2v.spec import ModelInfo
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.checkpoint import (
    CheckpointConfig,
    LatentNormalization,
    save_transformer,
    write_index,
)
from layert2v_engine.model.lora import add_lora, lora_state
from layert2v_engine.model.matte_adapter import MatteProjection
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

CHANNELS = 4
INFO = ModelInfo(
    name="mini",
    title="Tiny",
    digest="",
    width_range=(32, 256),
    height_range=(32, 256),
    size_step=16,
    frames_range=(1, 17),
    frames_step=4,
    max_foregrounds=1,
    default_width=48,
    default_height=32,
    default_frames=5,
    default_fps=12.0,
    default_steps=3,
    default_guidance=2.0,
    steps_range=(1, 500),
    guidance_range=(1.0, 10.0),
    abilities=("generate", "clean_conditioning"),
    vocabulary={"subject": ("fox", "car"), "place": ("forest",), "time": ("night", "sunset")}
    | {"action": ("running", "driving"), "colour": ("red", "blue")},
    colorspaces=("lin_rec709_scene", "lin_ap1_scene"),
)


def write_tiny_model(folder: Path, info: ModelInfo = INFO, *, contrast: float = 1.0) -> Path:
    """Write a folder of checkpoints that holds this one; return it, for ``--models``.

    With more contrast its mattes have more of the empty and the solid.
    """
    torch.manual_seed(0)
    out = folder / info.name
    roles = [role for role in StreamRole if info.makes_shadows or role is not StreamRole.shadow]
    transformer = LayeredWanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        text_dim=384,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
        rope_max_seq_len=64,
        roles=roles,
    )
    save_transformer(transformer, out / "transformer")
    autoencoder = PatchAutoencoder(
        latent_channels=CHANNELS, decoder_widths=(16, 8, 8), decoder_blocks=1
    )
    autoencoder.decoder.linear.weight.data *= contrast
    autoencoder.save_pretrained(out / "autoencoder")
    MatteProjection(CHANNELS, width=16).save_pretrained(out / "matte")
    lora = add_lora(autoencoder.decoder, rank=2, alpha=2.0)
    save_file(lora_state(lora), out / "matte" / "decoder_lora.safetensors")
    identity = LatentNormalization(latents_mean=(0.0,) * CHANNELS, latents_std=(1.0,) * CHANNELS)
    config = CheckpointConfig(
        info=info,
        latent_normalization={role.value: identity for role in roles},
        text_tokens=16,
        solver="euler",
        shift=2.0,
        frames_per_stream=5,  # for the 17 frames that it offers
        matte_color=0.5,
    )
    write_index(config, out)
    return folder
