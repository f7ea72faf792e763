"""Background inside a matte is seen by its standing still, and only where something moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import FloatArray, encode
from layert2v_engine.vidlayer.still_parts import still_share

FRAMES = 5
LARGE = 3  # the disc's 96 x 64 pixels are too few for optical flow


def picture(pan: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Return the footage of a textured disc that crosses a wall, and its matte."""
    clip = disc_clip(pan=pan, frames=31)
    pattern = np.random.default_rng(1).random((24, 24, 3), np.float32) * 0.6
    footage, mattes = [], []
    for source, alpha in zip(encode(clip.source[:FRAMES]), clip.alpha, strict=False):
        columns = np.arange(alpha.shape[1]) @ alpha.sum(0) / alpha.sum()
        moved = np.float32([[1, 0, columns - 12], [0, 1, 18]])
        texture = cv2.warpAffine(pattern, moved, alpha.shape[::-1], borderMode=cv2.BORDER_REFLECT)
        pixels = source * (1 - alpha[..., None]) + texture * alpha[..., None]
        footage.append(cv2.resize(pixels, None, fx=LARGE, fy=LARGE))
        mattes.append(cv2.resize(alpha, None, fx=LARGE, fy=LARGE))
    return np.stack(footage).clip(0, 1), np.stack(mattes)


def with_piece(cover: FloatArray, pan: float) -> FloatArray:
    """Return the matte with a piece of the wall, as large as the disc, that follows the camera."""
    taken = cover.copy()
    for t, plane in enumerate(taken):
        left = round(LARGE * (60 - pan * t))
        plane[LARGE * 2 : LARGE * 18, left : left + LARGE * 20] = 1
    return taken


@pytest.mark.parametrize("pan", [0.0, 1.0])
def test_a_piece_of_the_wall_stands_still(pan: float) -> None:
    full, cover = picture(pan)

    assert still_share(full, cover) < 0.1
    assert still_share(full, with_piece(cover, pan)) > 0.3


def test_a_thin_subject_is_not_taken_for_background() -> None:
    full, cover = picture()
    thin = cover.copy()
    for plane in thin:
        middle = round(float(np.arange(plane.shape[1]) @ plane.sum(0) / plane.sum()))
        plane[:, : middle - 2] = plane[:, middle + 2 :] = 0

    assert still_share(full, thin) < 0.1


def test_what_does_not_move_is_not_judged() -> None:
    full, cover = picture()
    still = np.repeat(full[:1], len(full), 0)

    assert still_share(still, with_piece(np.repeat(cover[:1], len(full), 0), 0)) == 0
