"""Temporal consistency: what moves along is no flicker, what jumps is."""

from __future__ import annotations

import pytest
import torch

from layert2v_engine.training.temporal_loss import temporal_consistency_loss


def moving(pixels_a_frame: int) -> torch.Tensor:
    """Two frames of a soft texture in -1..1 that moves to the right, [1, 3, 2, 48, 64]."""
    rng = torch.Generator().manual_seed(1)
    coarse = torch.randn(1, 3, 6, 16, generator=rng)
    wide = torch.nn.functional.interpolate(coarse, (48, 128), mode="bicubic").clamp(-1, 1)
    return torch.stack([wide[..., x : x + 64] for x in (32, 32 - pixels_a_frame)], dim=2)


def test_an_error_that_moves_with_the_picture_does_not_flicker() -> None:
    truth = moving(2)
    faded = temporal_consistency_loss(-0.3 * truth, truth)
    still = temporal_consistency_loss(-0.3 * truth[:, :, :1].expand_as(truth), truth)
    assert faded < 0.01 < still


def test_a_jump_of_the_error_is_flicker() -> None:
    error = torch.zeros(1, 3, 2, 48, 64)
    error[:, :, 1] = 0.5
    assert float(temporal_consistency_loss(error, moving(0))) == pytest.approx(0.5)
    assert float(temporal_consistency_loss(error[:, :, 1:].expand_as(error), moving(0))) == 0.0
