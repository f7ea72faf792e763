"""How a picture moves: the camera's own motion, and dense optical flow.

Pictures are 8-bit gray ``[H, W]``. A homography ``[3, 3]`` takes pixels of the first picture to
those of the second.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray

Homography = NDArray[np.float64]

_CORNERS, _MIN_MATCHES = 800, 12
_MAX_ROUND_TRIP = 0.7  # pixels
_RANSAC_PX = 1.5
# DIS matches patches of a fixed size in pixels, which are large on small pictures.
_UPSCALED_BELOW = 512


def to_gray(picture: ByteArray) -> ByteArray:
    """Return the gray ``[H, W]`` of ``[H, W, 3]``."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def find_homography(
    first: ByteArray, second: ByteArray, background: BoolArray | None = None
) -> Homography:
    """Return the motion of the background ``[H, W]`` by corners that are followed there and back.

    The identity where too few corners are found.
    """
    mask = None if background is None else background.astype(np.uint8) * 255
    corners = cv2.goodFeaturesToTrack(first, _CORNERS, 0.005, 4, mask=mask)
    if corners is None or len(corners) < _MIN_MATCHES:
        return np.eye(3)
    ends, there = _follow(first, second, np.asarray(corners, np.float32))
    starts, back = _follow(second, first, ends)
    round_trip = np.linalg.norm((starts - corners).reshape(-1, 2), axis=1)
    good = there & back & (round_trip < _MAX_ROUND_TRIP)
    if good.sum() < _MIN_MATCHES:
        return np.eye(3)
    found, _ = cv2.findHomography(corners[good], ends[good], cv2.RANSAC, _RANSAC_PX)
    return np.eye(3) if found is None else np.asarray(found, np.float64)


def homography_flow(homography: Homography, height: int, width: int) -> FloatArray:
    """Return the displacement ``[H, W, 2]`` in pixels that a homography is."""
    grid = pixel_grid(height, width)
    points = np.concatenate([grid, np.ones_like(grid[..., :1])], -1) @ homography.T
    return np.asarray(points[..., :2] / points[..., 2:] - grid, np.float32)


def optical_flow(first: ByteArray, second: ByteArray) -> FloatArray:
    """Return the displacement ``[H, W, 2]`` from ``first`` to ``second`` (DIS, Kroeger 2016)."""
    height, width = first.shape
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if max(height, width) >= _UPSCALED_BELOW:
        start = np.zeros((height, width, 2), np.float32)
        return np.asarray(search.calc(first, second, start), np.float32)
    large = [
        cv2.resize(each, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for each in (first, second)
    ]
    start = np.zeros((2 * height, 2 * width, 2), np.float32)
    flow = np.asarray(search.calc(large[0], large[1], start), np.float32)
    half = cv2.resize(flow / 2, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.float32)


def warp(picture: FloatArray, flow: FloatArray) -> FloatArray:
    """Return what ``picture`` shows at the ends of a flow, bilinear."""
    end = pixel_grid(*flow.shape[:2]) + flow
    warped = cv2.remap(
        picture, end[..., 0], end[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.float32)


def pixel_grid(height: int, width: int) -> FloatArray:
    """Return the x and y ``[H, W, 2]`` of every pixel."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y], -1).astype(np.float32)


def _follow(
    first: ByteArray, second: ByteArray, points: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Return where points ``[N, 1, 2]`` go, and which were found (Lucas and Kanade, pyramids)."""
    guess = points.copy()
    ends, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, points, guess, winSize=(15, 15), maxLevel=3
    )
    return np.asarray(ends, np.float32), np.asarray(found).ravel() > 0
