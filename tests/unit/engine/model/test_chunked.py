"""Tokens that take turns give what all of them give at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fakes.tiny_transformer import tiny_transformer
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model import chunked
from layert2v_engine.model.attention import KVCache
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

LAYOUT = StreamLayout.for_foregrounds(2, shadows=False)
PROMPTS = len(LAYOUT.prompts)


@pytest.fixture(scope="module")
def network() -> LayeredWanTransformer3DModel:
    model = tiny_transformer()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def run(network: LayeredWanTransformer3DModel, *, cached: bool) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    latents = torch.randn(2, len(LAYOUT), 4, 3, 10, 6, generator=rng)
    text = torch.randn(2, PROMPTS, 7, 8, generator=rng)
    out: Tensor = network(
        latents,
        torch.tensor([700.0, 300.0]),
        text,
        roles=LAYOUT.modulation_rows(network.config.roles),
        attended_prompts=LAYOUT.attended_prompts,
        prompt_mask=torch.arange(7).expand(2, PROMPTS, 7) < 5,
        kv_caches=[KVCache(stores_frozen=False) for _ in network.blocks] if cached else None,
    ).sample
    return out


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_tokens_at_a_time_give_the_same(
    network, monkeypatch: pytest.MonkeyPatch, cached: bool, dtype: torch.dtype
) -> None:
    calls: list[int] = []
    hook = network.blocks[0].ffn.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
        whole = run(network, cached=cached)
        monkeypatch.setitem(chunked.CHUNK_BYTES, "cpu", 1 << 13)
        parts = run(network, cached=cached)
    hook.remove()
    assert len(calls) > 4
    error = (parts - whole).square().mean().sqrt() / whole.square().mean().sqrt()
    assert error < (1e-5 if dtype is torch.float32 else 0.02)


def test_training_keeps_all_and_takes_no_turns(network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chunked.CHUNK_BYTES, "cpu", 1)
    calls: list[int] = []
    hook = network.blocks[0].ffn.register_forward_hook(lambda *_: calls.append(1))
    run(network, cached=False).sum().backward()
    hook.remove()
    assert calls == [1]
    assert all(block.attn1.to_q.weight.grad is not None for block in network.blocks)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_rows_come_back_in_their_order(count: int) -> None:
    x = torch.arange(14.0).reshape(2, 7, 1)
    assert torch.equal(chunked.map_rows(lambda rows: x[:, rows] + 1, 7, count), x + 1)
