from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.proposals import propose
from layert2v_engine.decompose.subjects.regions import overlap


class _Corner:
    """Takes the upper left quarter of whatever it is shown for the subject, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, picture: ByteArray) -> FloatArray:
        self.calls += 1
        mask = np.zeros(picture.shape[:2], np.float32)
        mask[: len(mask) // 2, : mask.shape[1] // 2] = 1
        return mask


class _Twice:
    """Recognizes the same box as two kinds of things."""

    labels = ("dog", "cat")

    def detect(self, picture: ByteArray) -> list[Detection]:
        return [Detection(label, 0.8, Box(10, 50, 60, 90)) for label in self.labels]


def test_what_moves_is_found_where_nothing_stands_out() -> None:
    pictures, truth = _walk()
    best = propose(pictures, ClipMotion(pictures), [0, 1, 2], _Corner(), None)[0]
    assert best.name == "moving"
    assert overlap(best.seen[1].mask > 0.5, truth[1]) > 0.6


def test_a_box_is_looked_at_once() -> None:
    pictures, _ = _walk()
    alone, twice = _Corner(), _Corner()
    propose(pictures, ClipMotion(pictures), [0, 1, 2], alone, None)
    propose(pictures, ClipMotion(pictures), [0, 1, 2], twice, _Twice())
    assert twice.calls == alone.calls + 3


def _walk() -> tuple[np.ndarray, np.ndarray]:
    """Return a red square ``[3, 100, 140]`` that moves over a green ground, both patterned."""
    draw = np.random.default_rng(2)
    ground, square = (
        np.kron(draw.integers(0, 110, (size, size, 1)), np.ones((5, 5, 1))) for size in (28, 8)
    )
    frames, truth = [], []
    for k in range(3):
        picture = np.zeros((100, 140, 3))
        picture[..., 1] = 60 + ground[:100, :, 0]
        left = 50 + 6 * k
        picture[35:75, left : left + 40] = 0
        picture[35:75, left : left + 40, 0] = 140 + square[..., 0]
        frames.append(picture.astype(np.uint8))
        truth.append(np.zeros((100, 140), bool))
        truth[-1][35:75, left : left + 40] = True
    return np.stack(frames), np.stack(truth)
