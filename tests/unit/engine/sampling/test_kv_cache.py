"""Denoising with cached keys and values against the full pass under a mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fakes.tiny_transformer import tiny_transformer
from fakes.uncached_predictor import uncached_predictor
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import InitLatents, denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.solvers import make_sampler

LAYOUT = StreamLayout.for_foregrounds(2)
SHAPE = (1, len(LAYOUT), 4, 3, 8, 8)
FROZEN = (1, 5, 6, 7)


@pytest.fixture(scope="module")
def network() -> LayeredWanTransformer3DModel:
    model = tiny_transformer(num_layers=3, position_grid=(4, 4))
    torch.nn.init.normal_(model.layer_modulation, std=0.3)
    return model


def conditioning(seed: int, length: int, mask: Tensor | None = None) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    return Conditioning(torch.randn(1, 4, length, 8, generator=generator), mask)


def denoise_active(
    predict,
    scale: float,
    conditionings: tuple[Conditioning, Conditioning] = (conditioning(2, 6), conditioning(3, 4)),
    interval: tuple[float, float] = (0.3, 0.9),
) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    noise, clean = (torch.randn(SHAPE, generator=generator) for _ in range(2))
    return denoise(
        predict,
        noise,
        make_sampler("euler", 4, shift=2.0),
        *conditionings,
        Guidance(scale=scale, interval=interval),
        init=InitLatents(latents=clean, frozen=FROZEN),
    )


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_cached_streams_give_what_the_full_pass_gives(network, scale: float) -> None:
    cached_predictor = make_predictor(network, LAYOUT, FROZEN, attention="one_way")
    full = uncached_predictor(network, LAYOUT, frozen=FROZEN)
    cached, plain = denoise_active(cached_predictor, scale), denoise_active(full, scale)
    torch.testing.assert_close(cached, plain, atol=1e-5, rtol=0)
    assert not torch.allclose(
        plain, denoise_active(uncached_predictor(network, LAYOUT), scale), atol=1e-3
    )


def test_another_scene_is_not_mistaken_for_the_cached_one(network) -> None:
    cached_predictor = make_predictor(network, LAYOUT, FROZEN, attention="one_way")
    full = uncached_predictor(network, LAYOUT, frozen=FROZEN)
    times = torch.full((1, len(LAYOUT)), 600.0)
    times[:, list(FROZEN)] = 0
    for seed in (1, 2, 1):
        latents = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            cached, plain = (
                p(latents, times, conditioning(4, 5)) for p in (cached_predictor, full)
            )
        active = [s for s in range(len(LAYOUT)) if s not in FROZEN]
        torch.testing.assert_close(cached[:, active], plain[:, active], atol=1e-5, rtol=0)


def test_frozen_streams_are_computed_once_per_conditioning(network, monkeypatch) -> None:
    seen: list[int] = []
    block = network.blocks[0]
    block_forward = block.forward
    monkeypatch.setattr(
        block,
        "forward",
        lambda x, *more, **named: (seen.append(x.shape[1]), block_forward(x, *more))[1],
    )
    denoise_active(make_predictor(network, LAYOUT, FROZEN, attention="one_way"), 2.5)
    frozen, active = 4 * 48, 4 * 48  # tokens of four streams each
    assert seen.count(frozen) == 2 + 4
    assert sum(seen) == 2 * frozen + 4 * active


def test_steps_without_guidance_reuse_the_cache_of_those_with_it(network, monkeypatch) -> None:
    mask = torch.ones(1, 4, 6, dtype=torch.bool)
    mask[..., 4:] = False
    conditionings = conditioning(2, 6, mask), conditioning(3, 6, mask)
    full = uncached_predictor(network, LAYOUT, frozen=FROZEN)
    plain = denoise_active(full, 2.5, conditionings, (0.5, 1.0))
    calls: list[int] = []
    block = network.blocks[0]
    forward = block.forward
    monkeypatch.setattr(
        block, "forward", lambda x, *more, **named: (calls.append(len(x)), forward(x, *more))[1]
    )
    cached_predictor = make_predictor(network, LAYOUT, FROZEN, attention="one_way")
    cached = denoise_active(cached_predictor, 2.5, conditionings, (0.5, 1.0))
    assert calls == [2, 2, 2, 2, 1]  # frozen streams first; the last step is without guidance
    torch.testing.assert_close(cached, plain, atol=1e-5, rtol=0)


def test_full_attention_computes_all_streams(network) -> None:
    predict = make_predictor(network, LAYOUT, FROZEN, attention="full")
    plain = uncached_predictor(network, LAYOUT)
    torch.testing.assert_close(
        denoise_active(predict, 2.0), denoise_active(plain, 2.0), atol=1e-5, rtol=0
    )


@torch.no_grad()
def test_text_is_projected_once_per_conditioning(network, monkeypatch) -> None:
    calls: list[int] = []
    project = network.blocks[0].attn2.to_k
    monkeypatch.setattr(project, "forward", lambda x, f=project.forward: (calls.append(1), f(x))[1])
    denoise_active(make_predictor(network, LAYOUT, FROZEN, attention="one_way"), 2.5)
    assert len(calls) == 2  # with and without guidance
