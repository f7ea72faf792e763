"""The background behind a disc, seen by a camera that stands, moves or passes something near."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from layert2v_engine.decompose.arrays import dilate, encode
from layert2v_engine.decompose.plate import temporal
from layert2v_engine.decompose.plate.fill import SmoothFiller
from layert2v_engine.decompose.scratch import FrameFile

WIDTH, HEIGHT, FRAMES = 320, 192, 9


def texture(seed: int) -> np.ndarray:
    """Return a picture with detail of several sizes, larger than a frame."""
    rng, total = np.random.default_rng(seed), np.float32(0)
    for octave in range(2, 6):
        coarse = rng.random((2 + 300 // 2**octave, 2 + 600 // 2**octave, 3), np.float32) - 0.5
        total = total + 0.7 ** (6 - octave) * cv2.resize(coarse, (600, 300))
    return np.asarray(0.25 * np.exp(2 * total), np.float32)


def look(picture: np.ndarray, path: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(picture, path.astype(np.float32), (WIDTH, HEIGHT))


def background(camera: str, t: int) -> np.ndarray:
    """Return what a camera sees of one wall, or of one behind another, at frame ``t``."""
    if camera == "turns":
        path = cv2.getRotationMatrix2D((300, 150), 0.5 * t, 1 + 0.01 * t)
        path[:, 2] -= (140, 60)
        return look(texture(1), path)
    shift = {"stands": 0.0, "pans": 4.3, "passes": 1.0}[camera]
    wall = look(texture(1), np.array([[1, 0, -30 - shift * t], [0, 1, -40]]))
    if camera != "passes":
        return wall
    near = look(texture(2), np.array([[1, 0, -30 - 3.0 * t], [0, 1, -40]])) * (0.5, 1, 0.6)
    is_near = np.arange(HEIGHT)[:, None, None] > 0.62 * HEIGHT
    return np.where(is_near, near, wall)


@pytest.mark.parametrize(
    ("camera", "least_db"), [("stands", 45), ("pans", 40), ("turns", 40), ("passes", 32)]
)
def test_what_is_seen_at_some_time_is_found(camera: str, least_db: float, tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    walls = [background(camera, t).astype(np.float32) for t in range(FRAMES)]
    discs = [np.hypot(columns - 60 - 25 * t, rows - 105) < 32 for t in range(FRAMES)]
    source = FrameFile(tmp_path / "source.bin", (FRAMES, HEIGHT, WIDTH, 3), np.float16)
    for t in range(FRAMES):
        source[t] = np.where(discs[t][..., None], np.float32(0.7), walls[t])
    pictures = (encode(source[:].astype(np.float32)) * 255).clip(0, 255).astype(np.uint8)
    holes = np.stack([dilate(disc, 4) for disc in discs])
    frames = temporal.ChosenFrames(source, range(FRAMES), pictures, holes, range(FRAMES))

    errors = [
        np.square(encode(made.picture) - encode(wall))[disc & ~made.invented].mean()
        for made, wall, disc in zip(
            temporal.temporal_plates(frames, SmoothFiller()), walls, discs, strict=True
        )
    ]

    assert -10 * np.log10(np.mean(errors)) > least_db
