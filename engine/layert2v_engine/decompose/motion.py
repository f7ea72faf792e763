"""How a picture moves: the camera's own motion, and dense optical flow.

Pictures are 8-bit gray ``[H, W]``. A homography ``[3, 3]`` takes pixels of the first picture to
those of the second.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray, blur

Homography = NDArray[np.float64]

_CORNERS, _MIN_MATCHES = 800, 12
_MAX_ROUND_TRIP = 0.7  # pixels
_RANSAC_PX = 1.5
_BETTER, _GRAIN_PX = 0.98, 1.5  # of an error: what a larger motion must achieve
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
    corners, ends = match_corners(first, second, background)
    if len(corners) < _MIN_MATCHES:
        return np.eye(3)
    found, _ = cv2.findHomography(corners, ends, cv2.RANSAC, _RANSAC_PX)
    return np.eye(3) if found is None else np.asarray(found, np.float64)


def find_camera_motion(first: ByteArray, second: ByteArray, background: BoolArray) -> Homography:
    """Return the simplest motion that explains the background ``[H, W]``, as a homography.

    None at all, a shift, an affine motion, or a homography: each must fit the pictures better than
    the one before it. On a plain background a homography alone fits corners, and is wrong
    everywhere else.
    """
    corners, ends = match_corners(first, second, background)
    best, least = np.eye(3), alignment_error(first, second, background, np.eye(3))
    if len(corners) < _MIN_MATCHES:
        return best
    shift = np.eye(3)
    shift[:2, 2] = np.median(ends - corners, 0)
    affine, _ = cv2.estimateAffine2D(corners, ends, ransacReprojThreshold=_RANSAC_PX)
    full, _ = cv2.findHomography(corners, ends, cv2.RANSAC, _RANSAC_PX)
    larger = None if affine is None else np.vstack([affine, [0, 0, 1.0]])
    for found in (shift, larger, full):
        if found is not None:
            motion = np.asarray(found, np.float64)
            error = alignment_error(first, second, background, motion)
            if error < _BETTER * least:
                best, least = motion, error
    return best


def alignment_error(
    first: ByteArray, second: ByteArray, background: BoolArray, motion: Homography
) -> float:
    """Return the mean difference of the background of two pictures after a motion, of 255.

    Without grain: resampling blurs it, so that a wrong motion would seem to fit better than none.
    """
    if not background.any():
        return 0.0
    size = (first.shape[1], first.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(second, motion, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    difference = np.where(background, first.astype(np.float32) - moved, np.float32(0))
    return float(np.abs(blur(difference, _GRAIN_PX))[background].mean())


def match_corners(
    first: ByteArray, second: ByteArray, background: BoolArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return corners ``[N, 2]`` of a picture, and where they are in the other one.

    They are followed there and back; what does not come back is left out.
    """
    mask = None if background is None else background.astype(np.uint8) * 255
    corners = cv2.goodFeaturesToTrack(first, _CORNERS, 0.005, 4, mask=mask)
    if corners is None or len(corners) < _MIN_MATCHES:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    ends, there = _follow(first, second, np.asarray(corners, np.float32))
    starts, back = _follow(second, first, ends)
    round_trip = np.linalg.norm((starts - corners).reshape(-1, 2), axis=1)
    good = there & back & (round_trip < _MAX_ROUND_TRIP)
    return corners[good].reshape(-1, 2), ends[good].reshape(-1, 2)


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
