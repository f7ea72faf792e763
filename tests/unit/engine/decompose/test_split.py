"""Planes brought up to the size of the footage."""

from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.arrays import FloatArray, Size, decode, resize
from layert2v_engine.decompose.split import follow_edges

WIDTH, HEIGHT = 320, 180
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
SMALL = Size(WIDTH // 2, HEIGHT // 2)


def disc(softness: float) -> FloatArray:
    """Return the coverage of a disc whose edge is ``softness`` pixels wide."""
    distance = np.hypot(ROWS - 90, COLUMNS - 160)
    return np.asarray(((60.5 - distance) / softness + 0.5).clip(0, 1), np.float32)


def errors(alpha: FloatArray, contrast: float, grain: float) -> tuple[float, float]:
    """Return the mean error at the edge of alpha from half the size: guided, and only enlarged."""
    noise = grain * np.random.default_rng(0).standard_normal((HEIGHT, WIDTH, 3))
    picture = decode((0.4 + contrast * alpha[..., None] + noise).clip(0, 1).astype(np.float32))
    half = resize(alpha, SMALL)
    enlarged = resize(half, Size(WIDTH, HEIGHT))
    guided = follow_edges(half, resize(picture, SMALL), picture)
    edge = (enlarged > 0.02) & (enlarged < 0.98)
    found = (np.abs(each - alpha)[edge].mean() for each in (guided, enlarged))
    return tuple(float(each) for each in found)  # type: ignore[return-value]


@pytest.mark.parametrize("grain", [0.0, 2 / 255])
def test_sharp_edges_are_those_of_the_footage(grain: float) -> None:
    guided, enlarged = errors(disc(1.0), 0.3, grain)
    assert guided < 0.3 * enlarged


@pytest.mark.parametrize("contrast", [0.3, 0.1, 0.03])
@pytest.mark.parametrize("grain", [0.0, 2 / 255, 5 / 255])
def test_grain_is_no_edge(contrast: float, grain: float) -> None:
    """Also where subject and background look alike."""
    guided, enlarged = errors(disc(8.0), contrast, grain)
    assert guided < 1.2 * enlarged
