"""A layered transformer of two narrow blocks, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from layert2v_engine.model.transformer import LayeredWanTransformer3DModel


def tiny_transformer(**settings: Any) -> LayeredWanTransformer3DModel:
    """Return the same weights at each call; ``settings`` replace or join those of the network."""
    torch.manual_seed(0)
    defaults = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 8,
        "freq_dim": 32,
        "ffn_dim": 64,
        "num_layers": 2,
        "rope_max_seq_len": 64,
    }
    return LayeredWanTransformer3DModel(**(defaults | settings)).eval()
