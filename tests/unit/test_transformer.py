"""The layered transformer against stock Wan and against dense-mask references."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from torch import Tensor

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 3,
    "rope_max_seq_len": 64,
}
LAYOUT = StreamLayout.for_foregrounds(1, shadows=False)  # 4 streams, 3 prompts
EVERYTHING = ((0, 1, 2),) * 4
TOKENS = 3 * 4 * 4  # per stream, of latents with 3 frames of 8 x 8


@pytest.fixture
def pair() -> tuple[WanTransformer3DModel, LayeredWanTransformer3DModel]:
    torch.manual_seed(0)
    stock = WanTransformer3DModel(**TINY).eval()
    layered = LayeredWanTransformer3DModel(**TINY).eval()
    missing = layered.load_state_dict(stock.state_dict(), strict=False)
    assert missing.missing_keys == ["layer_modulation"]
    assert not missing.unexpected_keys
    return stock, layered


@pytest.fixture
def scene() -> tuple[Tensor, Tensor]:
    """Latents [2, 4, 16, 3, 8, 8] and text [2, 3, 24, 32]."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 16, 3, 8, 8, generator=generator)
    return latents, torch.randn(2, 3, 24, 32, generator=generator)


def on_one_clip(stock: WanTransformer3DModel, latents: Tensor, time: Tensor, text: Tensor) -> Tensor:
    """Stock Wan on the streams laid one after another, hearing all prompts."""
    clip = latents.transpose(1, 2).flatten(2, 3)
    out: Tensor = stock(clip, time, text.flatten(1, 2), return_dict=False)[0]
    return out.unflatten(2, latents.shape[1:4:2]).transpose(1, 2)


@torch.no_grad()
def test_one_stream_without_modulation_is_stock_wan(pair, scene) -> None:
    (stock, layered), (latents, text) = pair, scene
    time = torch.tensor([700.0, 300.0])
    ours = layered(latents[:, :1], time, text[:, :1], roles=[0], visibility=[(0,)]).sample
    torch.testing.assert_close(ours, on_one_clip(stock, latents[:, :1], time, text[:, :1]), atol=1e-6, rtol=0)


@torch.no_grad()
def test_four_streams_are_stock_wan_on_a_clip_four_times_as_long(pair, scene) -> None:
    (stock, layered), (latents, text) = pair, scene
    time = torch.tensor([700.0, 300.0])
    ours = layered(latents, time, text, roles=range(4), visibility=EVERYTHING).sample
    torch.testing.assert_close(ours, on_one_clip(stock, latents, time, text), atol=1e-6, rtol=0)


@torch.no_grad()
def test_time_per_stream_is_stock_time_per_token(pair, scene) -> None:
    (stock, layered), (latents, text) = pair, scene
    time = torch.tensor([[900.0, 0.0, 500.0, 500.0], [0.0, 300.0, 0.0, 999.0]])
    ours = layered(latents, time, text, roles=range(4), visibility=EVERYTHING).sample
    per_token = on_one_clip(stock, latents, time.repeat_interleave(TOKENS, 1), text)
    torch.testing.assert_close(ours, per_token, atol=1e-6, rtol=0)
