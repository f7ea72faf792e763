"""The denoising loop and its noise, against networks whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fakes.uncached_predictor import uncached_predictor
from layert2v_engine.errors import Cancelled
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import InitLatents, Step, denoise, stream_noise
from layert2v_engine.sampling.guidance import (
    Conditioning,
    Guidance,
)
from layert2v_engine.sampling.solvers import SOLVERS, make_sampler

LAYOUT = StreamLayout.for_foregrounds(1)
SHAPE = (4, 2, 6, 8)
NOISE = stream_noise(LAYOUT.names, SHAPE, seed=3)
NO_GUIDANCE = Guidance()


def fresh_noise(draw: int) -> Tensor:
    return stream_noise(LAYOUT.names, SHAPE, seed=3, draw=draw)


def conditioning(value: float = 1.0, length: int = 5) -> Conditioning:
    return Conditioning(torch.full((1, 3, length, 8), value), None)


def velocity_to_prompts(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
    """Return the velocity of a network certain that each latent is the mean of its prompts."""
    goal = text.states.mean(dim=(1, 2, 3))[:, None, None, None, None, None]
    sigma = (times / 1000).clamp_min(1e-6)[:, :, None, None, None, None]
    return (latents - goal) / sigma


def run_denoise(predict=velocity_to_prompts, solver: str = "euler", **more) -> Tensor:
    steps = make_sampler(solver, 4, shift=3.0, noise_source=lambda step: fresh_noise(step + 1))
    arguments = {
        "prompts": conditioning(),
        "negative": conditioning(0.0),
        "guidance": NO_GUIDANCE,
    } | more
    return denoise(predict, NOISE, steps, **arguments)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_loop_arrives_where_the_network_points(solver: str) -> None:
    torch.testing.assert_close(
        run_denoise(solver=solver), torch.ones_like(NOISE), atol=1e-5, rtol=0
    )


def test_a_network_that_predicts_clean_arrives_too() -> None:
    out = run_denoise(
        lambda latents, times, text: torch.full_like(latents, 0.3), predicts_clean=True
    )
    torch.testing.assert_close(out, torch.full_like(NOISE, 0.3), atol=1e-6, rtol=0)


def test_guidance_goes_beyond_the_prompts() -> None:
    out = run_denoise(guidance=Guidance(scale=3.0))
    torch.testing.assert_close(out, torch.full_like(NOISE, 3.0), atol=1e-5, rtol=0)


def test_guidance_outside_its_interval_is_a_single_forward() -> None:
    sizes: list[int] = []

    def predict(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        sizes.append(len(latents))
        return velocity_to_prompts(latents, times, text)

    run_denoise(predict, guidance=Guidance(scale=3.0, interval=(0.6, 0.95)))
    assert sizes == [1, 2, 2, 1]  # levels 1, 0.9, 0.75, 0.5


@pytest.mark.parametrize("solver", SOLVERS)
def test_frozen_streams_are_shown_clean_and_stay_to_the_bit(solver: str) -> None:
    clean, seen = torch.randn(NOISE.shape), []

    def predict(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        seen.append(times[0].tolist())
        assert torch.equal(latents[:, [1, 3]], clean[:, [1, 3]])
        return velocity_to_prompts(latents, times, text)

    out = run_denoise(predict, solver=solver, init=InitLatents(latents=clean, frozen=(1, 3)))
    assert torch.equal(out[:, [1, 3]], clean[:, [1, 3]])
    torch.testing.assert_close(out[:, 0], torch.ones_like(out[:, 0]), atol=1e-5, rtol=0)
    assert all(times[1] == times[3] == 0 and times[0] > 0 for times in seen)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_kept_region_arrives_at_the_init_latents_on_a_straight_line(solver: str) -> None:
    clean, keep = torch.randn(NOISE.shape), torch.zeros(len(LAYOUT), 1, *SHAPE[1:])
    keep[0, :, :, :3] = 1
    schedule, _ = make_sampler(solver, 4, shift=3.0, noise_source=fresh_noise)
    levels = iter(enumerate(schedule.sigmas))

    def predict(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        draw, sigma = next(levels)
        noise = fresh_noise(draw) if solver == "stochastic" else NOISE
        line = torch.lerp(clean, noise, sigma)[:, 0, :, :, :3]
        torch.testing.assert_close(latents[:, 0, :, :, :3], line, atol=5e-3, rtol=0)
        return velocity_to_prompts(latents, times, text)

    out = run_denoise(predict, solver=solver, init=InitLatents(latents=clean, keep_mask=keep))
    torch.testing.assert_close(out[:, 0, :, :, :3], clean[:, 0, :, :, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(out[:, 1:], torch.ones_like(out[:, 1:]), atol=1e-5, rtol=0)


def test_a_weak_run_starts_from_the_init_latents() -> None:
    clean, seen = torch.randn(NOISE.shape), []

    def predict(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        seen.append((latents, float(times[0, 0])))
        return velocity_to_prompts(latents, times, text)

    steps = make_sampler("euler", 4, shift=3.0, strength=0.3)
    arguments = {"prompts": conditioning(), "negative": conditioning(0.0), "guidance": NO_GUIDANCE}
    denoise(predict, NOISE, steps, init=InitLatents(latents=clean), **arguments)
    first, time = seen[0]
    assert time == pytest.approx(300)
    torch.testing.assert_close(first, 0.7 * clean + 0.3 * NOISE, atol=1e-6, rtol=0)


def test_every_step_is_reported_with_its_estimate() -> None:
    steps: list[Step] = []
    run_denoise(on_step=steps.append)
    assert [(step.done, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    torch.testing.assert_close(steps[0].estimate, torch.ones_like(NOISE), atol=1e-5, rtol=0)


def test_a_report_that_raises_ends_the_run() -> None:
    seen: list[int] = []

    def stop(step: Step) -> None:
        seen.append(step.done)
        if step.done == 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        run_denoise(on_step=stop)
    assert seen == [1, 2]


def test_a_stream_keeps_its_noise_whatever_the_others_are() -> None:
    alone = stream_noise(StreamLayout.for_foregrounds(0).names, SHAPE, seed=3)
    many = stream_noise(StreamLayout.for_foregrounds(2).names, SHAPE, seed=3)
    assert torch.equal(NOISE[:, :2], alone)
    assert torch.equal(many[:, :5], NOISE)
    assert not torch.equal(many[:, 2], many[:, 5])
    assert not torch.equal(stream_noise(LAYOUT.names, SHAPE, seed=4), NOISE)


@pytest.fixture(scope="module")
def network() -> LayeredWanTransformer3DModel:
    torch.manual_seed(0)
    return LayeredWanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=8,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
        rope_max_seq_len=64,
    ).eval()


def test_the_same_seed_gives_the_same_latents(network) -> None:
    predict = uncached_predictor(network, LAYOUT, autocast=torch.bfloat16)
    text, guidance = conditioning(0.1), Guidance(scale=2.0)
    first, second = (run_denoise(predict, prompts=text, guidance=guidance) for _ in range(2))
    assert first.dtype == torch.float32
    assert torch.equal(first, second)
