from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from layert2v_engine.metrics.flow import warping_error
from layert2v_engine.metrics.sharpness import flicker, gradient_energy, high_pass_energy


def blur(clip: Tensor) -> Tensor:
    frames = nn.functional.avg_pool2d(
        clip.movedim(1, 0), 3, stride=1, padding=1, count_include_pad=False
    )
    return frames.movedim(0, 1)


def moving_texture(noise: float) -> Tensor:
    """Return a clip [3, 5, 64, 96] that pans by 2.5 pixels a frame, with flickering light."""
    rng = torch.Generator().manual_seed(0)
    plate = torch.rand(1, 3, 16, 40, generator=rng)
    plate = nn.functional.interpolate(plate, size=(128, 320), mode="bicubic").clamp(0, 1)[0]
    frames = torch.stack([plate[:, ::2, 5 * t : 5 * t + 192 : 2] for t in range(5)], 1)
    light = torch.randn(3, 5, 8, 12, generator=rng).repeat_interleave(8, -1).repeat_interleave(8, 2)
    return (frames + noise * light).clamp(0, 1)


def test_blur_takes_energy_away() -> None:
    clip = moving_texture(0.01)
    assert gradient_energy(blur(clip)) < 0.9 * gradient_energy(clip)
    assert high_pass_energy(blur(clip)) < 0.9 * high_pass_energy(clip)
    assert gradient_energy(torch.ones(3, 2, 8, 8)) == high_pass_energy(torch.ones(3, 2, 8, 8)) == 0


def test_a_ramp_has_its_slope_for_gradient_energy() -> None:
    ramp = torch.arange(8.0).expand(3, 2, 8, 8) / 10
    assert gradient_energy(ramp) == pytest.approx(0.05)


def test_flicker_grows_with_noise_and_not_with_sharpness() -> None:
    calm, restless = moving_texture(0.01), moving_texture(0.04)
    assert flicker(restless, restless) > 1.5 * flicker(calm, calm)
    blurred = blur(restless)
    steadier = warping_error(blurred, blurred) / warping_error(restless, restless)
    assert steadier < 0.95  # what blur is rewarded with
    assert flicker(blurred, blurred) / flicker(restless, restless) > steadier + 0.03
    assert flicker(blurred, blurred) == pytest.approx(flicker(restless, restless), rel=0.06)
