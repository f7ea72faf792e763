from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.flicker import FlickerMeter


@pytest.fixture(scope="module")
def grainy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return footage with grain, the same without its disc, and the disc's matte, all half."""
    clip = disc_clip()
    noise = 0.02 * np.random.default_rng(0).standard_normal(clip.source.shape)
    is_disc = (clip.alpha > 0)[..., None]
    source = (clip.source + noise).astype(np.float16)
    plate = np.where(is_disc, clip.background + noise, source).astype(np.float16)
    return source, plate, clip.alpha.astype(np.float16)


def measure(source: np.ndarray, plate: np.ndarray, alpha: np.ndarray) -> dict[str, float]:
    meter = FlickerMeter()
    for frame in zip(source, plate, alpha, strict=True):
        meter.add(*frame)
    return meter.to_json()


def test_a_plate_with_grain_flickers_like_the_footage(
    grainy: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    found = measure(*grainy)

    assert 0.6 < found["flicker_plate"] < 1.5
    assert found["flicker_alpha"] < 0.1


def test_what_flickers_is_measured(grainy: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    source, plate, alpha = grainy
    calm = measure(source, plate, alpha)
    light = np.where(np.arange(len(source)) % 2, 1.3, 1.0)[:, None, None, None]
    shaken = np.where(alpha[..., None] > 0, plate * light, plate).astype(np.float16)
    soft = (alpha * (1 - 0.4 * (light[..., 0] > 1))).astype(np.float16)

    found = measure(source, shaken, soft)

    assert found["flicker_plate"] > 1.5 * calm["flicker_plate"]
    assert found["flicker_alpha"] > 0.1 + calm["flicker_alpha"]


def test_one_frame_cannot_flicker(grainy: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert measure(*(each[:1] for each in grainy)) == {}
