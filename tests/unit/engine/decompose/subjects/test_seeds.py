from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.hints import FrameHints
from layert2v_engine.decompose.subjects.regions import overlap
from layert2v_engine.decompose.subjects.seeds import box_fit, seed_mask

BOX = Box(40, 25, 80, 65)


class Blind:
    """A network to which nothing stands out, or another thing does."""

    def __init__(self, level: float = 0.0) -> None:
        self._level = level

    def predict(self, picture: ByteArray) -> FloatArray:
        return np.full(picture.shape[:2], self._level, np.float32)


def test_colors_find_what_stands_out_to_no_network() -> None:
    picture, truth = _red_on_green()
    seed = seed_mask(picture, FrameHints(boxes=(BOX,)), Blind())
    assert overlap(seed > 0.5, truth) > 0.9


def test_what_moves_in_a_box_is_found_where_colors_are_alike() -> None:
    _, truth = _red_on_green()
    rng = np.random.default_rng(1)
    picture = rng.integers(90, 120, (90, 120, 3)).astype(np.uint8)
    moving = np.float32(truth) * (rng.random(truth.shape) > 0.1)
    hints = FrameHints(boxes=(BOX,))

    seed = seed_mask(picture, hints, Blind(), moving=moving.astype(np.float32))

    assert overlap(seed > 0.5, truth) > 0.6


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_points_where_nothing_is_seen_are_obeyed(level: float) -> None:
    picture, _ = _red_on_green()
    hints = FrameHints(inside=((60.0, 45.0),), outside=((5.0, 5.0),))

    seed = seed_mask(picture, hints, Blind(level), np.zeros((90, 120), np.float32))

    assert seed.shape == (90, 120)
    assert seed[45, 60] > 0.5
    assert seed[5, 5] < 0.5


def _red_on_green() -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 30, (90, 120, 3))
    truth = np.zeros((90, 120), bool)
    truth[25:65, 40:80] = True
    truth[25:35, 40:50] = False
    color = np.where(truth[..., None], (180, 40, 40), (40, 150, 60))
    return (color + noise).astype(np.uint8), truth


def test_a_mask_is_measured_by_the_box_around_it() -> None:
    _, truth = _red_on_green()
    hints = FrameHints(boxes=(BOX,))
    half = np.float32(truth)
    half[45:] = 0

    assert box_fit(np.float32(truth), hints) > 0.95
    assert box_fit(half.astype(np.float32), hints) == pytest.approx(0.5, abs=0.05)
    assert box_fit(np.zeros((90, 120), np.float32), hints) == 0
    assert box_fit(half.astype(np.float32), FrameHints()) == 1
