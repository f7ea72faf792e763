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
# Pixels that a fifth of the background must be off: less is no parallax. On planes seen by a
# camera that pans, zooms and turns it is at most 0.3, with two planes at least 3.
_LEAST = 0.6


class CanvasFrame(NamedTuple):
    """A frame for the canvas: gray ``[h, w]``, where it is open, and its path to the canvas."""

    gray: ByteArray
    is_open: BoolArray
    path: Homography


def find_parallax(frames: Sequence[CanvasFrame], size: Size) -> list[FloatArray] | None:
    """Return for each frame how far off its path is, ``[h, w, 2]`` on the canvas, in its pixels.

    A frame shows a place ``y`` of the canvas where its path leads to ``y + parallax(y)``. None
    where paths alone lay the frames over one another.
    """
    middle = len(frames) // 2
    found = {middle: np.zeros((size.height, size.width, 2), np.float32)}
    largest = 0.0
    for order in (range(middle - 1, -1, -1), range(middle + 1, len(frames))):
        canvas = _Canvas.begin(frames[middle], size)
        for k in order:
            canvas = canvas.add(frames[k])
            found[k] = canvas.parallax
            largest = max(largest, canvas.usual)
    return [found[k] for k in range(len(frames))] if largest > _LEAST else None


class _Canvas(NamedTuple):
    """What is laid out so far, where anything is, and the parallax of the last frame."""

    picture: ByteArray
    is_open: BoolArray
    parallax: FloatArray
    usual: float = 0.0  # parallax, where the last frame was compared

    @classmethod
    def begin(cls, frame: CanvasFrame, size: Size) -> Self:
        """Return a canvas with a first frame, which lies where its path leads."""
        nothing = np.zeros((size.height, size.width, 2), np.float32)
        return cls(*_look(frame, nothing), nothing)

    def add(self, frame: CanvasFrame) -> Self:
        """Return the canvas with a frame that is drawn to what lies there."""
        picture, is_open = _look(frame, self.parallax)
        flow = optical_flow(self.picture, picture)
        good = self.is_open & is_open & (np.linalg.norm(flow, axis=-1) < _MAX_STEP)
        step = blur(extend(flow, good.astype(np.float32)), _SIGMA)
        parallax = step + _remap(self.parallax, pixel_grid(*flow.shape[:2]) + step)
        picture, is_open = _look(frame, parallax)
        picture = np.where(self.is_open, self.picture, picture)  # the first stays: no drift
        usual = _percentile(parallax, good)
        return type(self)(picture, is_open | self.is_open, parallax, usual)


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


def _percentile(parallax: FloatArray, compared: BoolArray) -> float:
    lengths = np.linalg.norm(parallax, axis=-1)[compared]
    return float(np.percentile(lengths, 80)) if len(lengths) else 0.0
