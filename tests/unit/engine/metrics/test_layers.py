"""Metrics of layers: each must tell a good clip from a spoiled one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.metrics import layers as measures
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames

HEIGHT, WIDTH, FRAMES = 48, 64, 3


def disc(row: int = 24, column: int = 32, radius: int = 10) -> Tensor:  # [1, 1, T, H, W]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    plane = np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1).astype(np.float32)
    return torch.from_numpy(plane).expand(1, 1, FRAMES, -1, -1).clone()


def clip(shadow: Tensor | None = None) -> LayerFrames:
    """Return a gray disc over a white ground, and the shadow below it that the full video shows."""
    alpha, cast = disc(), disc(34, 36, 8) * 0.6
    ground = torch.full((1, 3, FRAMES, HEIGHT, WIDTH), 0.9)
    color = torch.full_like(ground, 0.4)
    linear = decode_srgb(ground) * (1 - cast)
    full = encode_srgb(decode_srgb(color) * alpha + linear * (1 - alpha))
    foreground = ForegroundFrames(
        color=color, alpha=alpha, shadow=cast if shadow is None else shadow
    )
    return LayerFrames(composite=full, background=ground, foregrounds=(foreground,))


def test_layers_that_add_up_recompose_the_full_video() -> None:
    frames = clip()
    assert measures.psnr(measures.recompose(frames), frames.composite[0]) > 60
    assert measures.psnr(measures.recompose(clip(disc() * 0)), frames.composite[0]) < 30


def test_one_subject_drawn_twice_overlaps() -> None:
    here, beside, small = disc(24, 20), disc(24, 44), disc(24, 20, 3)
    assert measures.matte_overlap(here, beside) == 0
    assert measures.matte_overlap(here, small) == 1  # of the smaller
    assert measures.matte_overlap(here, torch.zeros_like(here)) == 1
    assert 0.3 < measures.matte_overlap(here, disc(24, 28)) < 0.7


def test_a_shadow_that_lies_elsewhere_does_not_correlate() -> None:
    good, bad = clip(), clip(disc(10, 10, 8) * 0.6)
    assert measures.shadow_correlation(good, good.foregrounds[0]) > 0.95
    assert measures.shadow_correlation(bad, bad.foregrounds[0]) < 0.2


def test_a_shadow_left_behind_is_out_of_reach() -> None:
    body = clip().foregrounds[0]
    small = replace(body, alpha=disc(radius=4))
    assert measures.shadow_reach(replace(small, shadow=disc(30, 34, 4))) == pytest.approx(1)
    assert measures.shadow_reach(replace(small, shadow=disc(30, 5, 4))) < 0.1


def test_holes_and_islands_of_a_matte_are_seen() -> None:
    layers = measures.matte_statistics(disc())
    assert layers["one_body_share"] == 1
    assert layers["no_hole_share"] == 1
    holed, split = disc(), torch.maximum(disc(column=16), disc(column=48))
    holed[..., 21:27, 29:35] = 0
    assert measures.matte_statistics(holed)["no_hole_share"] == 0
    assert measures.matte_statistics(split)["one_body_share"] == 0


def test_psnr_of_a_tenth_of_the_range() -> None:
    zeros = torch.zeros(4)
    assert measures.psnr(zeros, torch.full((4,), 0.1)) == pytest.approx(20.0, abs=0.01)
    double = measures.psnr(zeros, torch.full((4,), 0.2), value_range=2.0)
    assert double == pytest.approx(20.0, abs=0.01)
