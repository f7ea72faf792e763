"""Mattes as codecs leave them, and foregrounds on black."""

from __future__ import annotations

import pytest
import torch

from fakes.sample_stacks import disc, gradient
from layert2v_engine.image.footage.matting import (
    Levels,
    measure_levels,
    unpremultiply_from_black,
)

H, W = 48, 64


def matte(index: int) -> torch.Tensor:
    return disc(H, W).roll(2 * index, 1)


def color(index: int) -> torch.Tensor:
    return (1 - gradient(H, W)).roll(2 * index, 2)


def test_levels_put_the_codecs_black_and_white_back() -> None:
    noisy = matte(0) * 0.955 + 0.012
    found = measure_levels([noisy + 0.001 * torch.randn(H, W)])
    assert found.black == pytest.approx(0.016, abs=0.005)
    assert found.white == pytest.approx(0.963, abs=0.006)
    cleaned = found.apply(noisy)
    assert float(cleaned[0, 0]) == 0.0
    assert float(cleaned[H // 2, W // 2]) == 1.0


@pytest.mark.parametrize("mask", [matte(0), torch.full((8, 8), 0.5), matte(0) * 0.5])
def test_levels_leave_clean_and_soft_mattes_alone(mask: torch.Tensor) -> None:
    assert measure_levels([mask]) == Levels(0.0, 1.0)


def test_straightening_undoes_a_foreground_on_lifted_black() -> None:
    black = torch.tensor([0.03, 0.02, 0.04])
    alpha, expected = matte(0), color(0)
    shot = expected * alpha + (1 - alpha) * black[:, None, None]
    result = unpremultiply_from_black(shot, alpha, black)
    # Where half of the foreground shows, its color is back; thinner parts are estimates.
    firm = alpha > 0.5
    torch.testing.assert_close(result[:, firm], expected[:, firm], atol=0.01, rtol=0)
    assert float(((result - expected).abs() * alpha).max()) < 0.03


def test_a_matte_smaller_than_its_foreground_makes_no_bright_fringe() -> None:
    """Where the color does not fall off with the matte, dividing by it would reach white."""
    narrow = ((matte(0) - 0.5) * 3 + 0.5).clamp(0, 1)
    result = unpremultiply_from_black(torch.full((3, H, W), 0.3), narrow, torch.zeros(3))
    assert float(result[:, narrow > 0].max()) <= 0.3 + 0.06
