"""What a homography leaves of the background's motion where it has depth.

Frames are laid over one another on a canvas, outward from the middle of a window. Each is drawn to
those before it by optical flow, which a smooth continuation carries on into its hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray, Size, blur
from layert2v_engine.decompose.motion import Homography, optical_flow, pixel_grid
from layert2v_engine.decompose.plate.fill import extend

_MAX_STEP = 8.0  # pixels between two frames that are compared
_SIGMA = 3.0  # pixels: flow is smoothed by that, and depth has edges
# Pixels that a fifth of the background must be off, and what of the error must be left: else paths
# alone are right. With two planes that pass each other the error halves; on clips whose camera
# passes nothing it falls by less than a fifth.
_LEAST, _BETTER = 1.0, 0.7


class CanvasFrame(NamedTuple):
    """A frame for the canvas: gray ``[h, w]``, where it is open, and its path to the canvas."""

    gray: ByteArray
    is_open: BoolArray
    path: Homography


def find_parallax(
    frames: Sequence[CanvasFrame], size: Size, middle: int
) -> list[FloatArray] | None:
    """Return for each frame how far off its path is, ``[h, w, 2]`` on the canvas, in its pixels.

    A frame shows a place ``y`` of the canvas where its path leads to ``y + parallax(y)``. None
    where paths alone lay the frames over one another. That of the ``middle`` one is none.
    """
    found = {middle: np.zeros((size.height, size.width, 2), np.float32)}
    fits: list[_Fit] = []
    for order in (range(middle - 1, -1, -1), range(middle + 1, len(frames))):
        canvas = _Canvas.begin(frames[middle], size)
        for k in order:
            canvas, fit = canvas.add(frames[k])
            found[k] = canvas.parallax
            fits.append(fit)
    usual, straight, bent = (np.array([each[k] for each in fits]) for k in range(3))
    if not fits or usual.max() < _LEAST or bent.sum() > _BETTER * straight.sum():
        return None
    return [found[k] for k in range(len(frames))]


class _Fit(NamedTuple):
    """How a frame lies over others: its usual parallax, and the error without and with it."""

    usual: float
    straight: float
    bent: float


class _Canvas(NamedTuple):
    """What is laid out so far, where anything is, and the parallax of the last frame."""

    picture: ByteArray
    is_open: BoolArray
    parallax: FloatArray

    @classmethod
    def begin(cls, frame: CanvasFrame, size: Size) -> Self:
        """Return a canvas with a first frame, which lies where its path leads."""
        nothing = np.zeros((size.height, size.width, 2), np.float32)
        return cls(*_look(frame, nothing), nothing)

    def add(self, frame: CanvasFrame) -> tuple[Self, _Fit]:
        """Return the canvas with a frame that is drawn to what lies there, and how it fits."""
        picture, is_open = _look(frame, self.parallax)
        flow = optical_flow(self.picture, picture)
        good = self.is_open & is_open & (np.linalg.norm(flow, axis=-1) < _MAX_STEP)
        step = blur(extend(flow, good.astype(np.float32)), _SIGMA)
        parallax = step + _remap(self.parallax, pixel_grid(*flow.shape[:2]) + step)
        picture, is_open = _look(frame, parallax)
        fit = self._fit(frame, picture, parallax, good & is_open)
        picture = np.where(self.is_open, self.picture, picture)  # the first stays: no drift
        return type(self)(picture, is_open | self.is_open, parallax), fit

    def _fit(
        self, frame: CanvasFrame, bent: ByteArray, parallax: FloatArray, compared: BoolArray
    ) -> _Fit:
        straight, is_open = _look(frame, np.zeros_like(parallax))
        compared = compared & is_open
        if not compared.any():
            return _Fit(0.0, 0.0, 0.0)
        lengths = np.linalg.norm(parallax, axis=-1)[compared]
        errors = (cv2.absdiff(self.picture, each)[compared] for each in (straight, bent))
        return _Fit(float(np.percentile(lengths, 80)), *(float(each.mean()) for each in errors))


def _look(frame: CanvasFrame, parallax: FloatArray) -> tuple[ByteArray, BoolArray]:
    """Return what a frame shows of the canvas, and where it is open."""
    end = pixel_grid(*parallax.shape[:2]) + parallax
    place = cv2.perspectiveTransform(end.reshape(-1, 1, 2), np.linalg.inv(frame.path))
    place = np.asarray(place, np.float32).reshape(end.shape)
    picture = _remap(frame.gray, place)
    opening = np.where(frame.is_open, 255, 0).astype(np.uint8)
    return picture, cv2.remap(opening, place[..., 0], place[..., 1], cv2.INTER_LINEAR) == 255


def _remap(picture: np.ndarray, place: FloatArray) -> np.ndarray:
    x, y = place[..., 0], place[..., 1]
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
