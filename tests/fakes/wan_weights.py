"""Transformer weights as Wan's own code keeps them, of a network of one small block."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.model.wan_import import diffusers_name

CONFIG = {
    "dim": 32,
    "ffn_dim": 64,
    "freq_dim": 32,
    "text_dim": 16,
    "num_heads": 2,
    "num_layers": 1,
    "in_dim": 4,
    "out_dim": 4,
    "eps": 1e-6,
}


def wan_weights() -> dict[str, Tensor]:
    """Return random weights under the authors' names."""
    model = LayeredWanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=32,
        ffn_dim=64,
        num_layers=1,
    )
    block = ["modulation", "norm3.weight", "norm3.bias"]
    for attention in ("self_attn", "cross_attn"):
        block += [f"{attention}.{p}.{kind}" for p in "qkvo" for kind in ("weight", "bias")]
        block += [f"{attention}.norm_{p}.weight" for p in "qk"]
    pairs = ["text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2"]
    pairs += [
        "time_projection.1",
        "head.head",
        "patch_embedding",
        "blocks.0.ffn.0",
        "blocks.0.ffn.2",
    ]
    names = [f"{pair}.{kind}" for pair in pairs for kind in ("weight", "bias")]
    names += ["head.modulation", *(f"blocks.0.{name}" for name in block)]
    state = model.state_dict()
    return {name: state[diffusers_name(name)].clone() for name in names}


def write_wan_folder(folder: Path) -> Path:
    """Write weights and config.json as Wan's own code does; return the folder."""
    folder.mkdir(parents=True)
    save_file(wan_weights(), folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder
