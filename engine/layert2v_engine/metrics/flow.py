"""Temporal consistency: each frame against the next one, warped back along the optical flow.

Warping error: Lai et al., "Learning blind video temporal consistency", ECCV 2018.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Plane = NDArray[np.float32]

_KEPT = 64  # pairs of frames: those of a clip of 33 frames, sharp and blurred
_MAX_ROUND_TRIP_ERROR = 0.5  # pixels, there and back; a point with more counts as hidden


def warping_error(pictures: Tensor, along: Tensor) -> float:
    """Return the mean absolute error of ``pictures`` [C, T, H, W] in 0..1 from frame to frame.

    Frames are compared along the optical flow of the clip ``along`` [3, T, H, W]. Points that
    appear or vanish do not count.
    """
    frames = [np.ascontiguousarray(x) for x in pictures.movedim(1, 0).movedim(1, -1).numpy()]
    grey = [(x * 255).round().astype(np.uint8) for x in along.mean(0).numpy()]
    errors = []
    for (here, forward), (first, second) in zip(pairwise(frames), pairwise(grey), strict=True):
        flow, visible = _kept_flow(first.tobytes(), second.tobytes(), first.shape)
        moved = _warp(forward, flow)
        errors.append(float(np.abs(moved.reshape(here.shape) - here)[visible].mean()))
    return float(np.mean(errors))


@lru_cache(maxsize=_KEPT)
def _kept_flow(
    first: bytes, second: bytes, shape: tuple[int, ...]
) -> tuple[Plane, NDArray[np.bool_]]:
    """Return ``optical_flow``, once for all pictures that are measured along a clip."""
    return optical_flow(
        *(np.frombuffer(frame, np.uint8).reshape(shape) for frame in (first, second))
    )


def optical_flow(
    first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tuple[Plane, NDArray[np.bool_]]:
    """Return the flow [H, W, 2] in pixels between gray frames [H, W], and where it is reliable."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # the pictures are small
    zero_flow = np.zeros((*first.shape, 2), np.float32)  # what the flow is first taken to be
    forward = np.asarray(search.calc(first, second, zero_flow.copy()), dtype=np.float32)
    backward = np.asarray(search.calc(second, first, zero_flow), dtype=np.float32)
    round_trip_error = np.linalg.norm(forward + _warp(backward, forward), axis=-1)
    height, width = first.shape
    end = _grid(height, width) + forward
    inside = ((end >= 0) & (end <= (width - 1, height - 1))).all(-1)
    return forward, (round_trip_error < _MAX_ROUND_TRIP_ERROR) & inside


def _warp(picture: Plane, flow: Plane) -> Plane:
    x, y = np.moveaxis(_grid(*flow.shape[:2]) + flow, -1, 0)
    warped = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.float32)


def _grid(height: int, width: int) -> Plane:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y], -1).astype(np.float32)
