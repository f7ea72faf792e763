from __future__ import annotations

import cv2
import numpy as np
import pytest

from layert2v_engine.decompose.subjects.difference import draw_to_difference
from layert2v_engine.decompose.subjects.regions import overlap

_FRAMES, _WIDTH, _HEIGHT = 5, 160, 96


@pytest.mark.parametrize("pan", [0, 3])
def test_a_wrong_outline_is_drawn_to_what_moves(pan: int) -> None:
    pictures, truth = _shot(step=14, pan=pan)
    rough = _roughen(truth)

    drawn = draw_to_difference(pictures, rough)

    assert _mean_overlap(rough, truth) < 0.75
    assert _mean_overlap(drawn, truth) > 0.9


def test_a_shadow_is_no_subject() -> None:
    pictures, truth = _shot(step=14, shadow=0.5)
    drawn = draw_to_difference(pictures, _roughen(truth))
    assert _mean_overlap(drawn, truth) > 0.85


def test_a_subject_that_stays_keeps_its_mask() -> None:
    pictures, truth = _shot(step=0)
    rough = _roughen(truth)

    np.testing.assert_allclose(draw_to_difference(pictures, rough), rough)


def test_one_picture_tells_nothing() -> None:
    pictures, truth = _shot(step=14)
    masks = truth[:1].astype(np.float32)
    assert draw_to_difference(pictures[:1], masks) is masks


def test_nothing_stays_nothing() -> None:
    pictures, truth = _shot(step=14)
    assert not draw_to_difference(pictures, np.zeros(truth.shape, np.float32)).any()


def _shot(step: int, pan: int = 0, shadow: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a disc that moves by ``step`` pixels a frame before a wall, and where it is."""
    noise = np.random.default_rng(0)
    coarse = noise.integers(40, 200, (_HEIGHT // 8, _WIDTH // 4, 3)).astype(np.uint8)
    wall = cv2.resize(coarse, (2 * _WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    skin = cv2.resize(coarse[::-1, ::-1], (2 * _WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    pictures, truth = [], []
    for k in range(_FRAMES):
        picture = wall[:, pan * k : pan * k + _WIDTH].astype(np.float32)
        disc, cast = (np.zeros((_HEIGHT, _WIDTH), np.uint8) for _ in range(2))
        cv2.circle(disc, (40 + step * k, 44), 22, 1, -1)
        cv2.ellipse(cast, (52 + step * k, 74), (30, 8), 0, 0, 360, 1, -1)
        picture *= (1 - shadow * cast[..., None]) ** (1 / 2.2)
        picture = np.where(disc[..., None] > 0, skin[:, :_WIDTH], picture)
        pictures.append(picture + noise.normal(0, 1.5, picture.shape))
        truth.append(disc > 0)
    return np.stack(pictures).clip(0, 255).astype(np.uint8), np.stack(truth)


def _roughen(truth: np.ndarray) -> np.ndarray:
    """Return masks that lack a side of the subject and have as much too much on the other."""
    return np.stack([np.roll(mask, 8, 1) for mask in truth]).astype(np.float32)


def _mean_overlap(masks: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([overlap(a > 0.5, b) for a, b in zip(masks, truth, strict=True)]))
