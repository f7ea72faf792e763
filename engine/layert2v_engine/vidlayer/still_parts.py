"""Background that came along inside a matte: parts of it that stand still while the subject moves.

Between two frames, each textured point of the matte votes: does the second picture look the same
where the camera's motion takes the point (it is part of the scene), or where the subject's motion
takes it? Points without texture, and those that do neither, such as turning limbs, do not vote;
they go with the votes around them. A subject that does not move against the scene cannot be judged
this way.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray, blur, dilate
from layert2v_engine.decompose.motion import (
    Homography,
    alignment_error,
    find_camera_motion,
    homography_flow,
    optical_flow,
    pixel_grid,
    to_gray,
    warp,
)

_HEIGHT = 192
_LEAST_MOTION = 0.015  # of the height: less is within the error of flow
_SAME = 0.02  # difference of two pictures of one thing, 0..1
_CLEARER = 0.02  # by how much one guess must fit better than the other
_LEAST_VOTES = 0.02  # of the matte, or of a patch; fewer say nothing
_LEAST_MOVING = 0.1  # of what is decided: without it nothing is known to move
_PATCHES = 12  # in the height
_BLUR_PX = 1.0
_EVERY, _LEAST_POINTS = 17, 50  # of the scene's pixels, for a motion by dense flow


class _Votes(NamedTuple):
    still: int
    moving: int
    points: int


def still_share(full: FloatArray, cover: FloatArray) -> float:
    """Return the share of the matte that stands still, 0..1, of what can be told; 0 if nothing can.

    ``full`` is ``[T, H, W, 3]``, display-referred; ``cover`` the matte ``[T, H, W]``.
    """
    last = len(full) - 1
    pairs = sorted({(0, last // 2), (last // 2, last), (0, last)})
    shares = []
    for a, b in pairs:
        if a == b:
            continue
        votes = _vote(*(_small(full[t], cover[t]) for t in (a, b)))
        decided = votes.still + votes.moving
        is_enough = decided >= _LEAST_VOTES * votes.points and votes.points > 0
        if is_enough and votes.moving >= _LEAST_MOVING * decided:
            shares.append(votes.still / decided)
    return float(np.median(shares)) if shares else 0.0


def _vote(first: tuple[ByteArray, BoolArray], second: tuple[ByteArray, BoolArray]) -> _Votes:
    (gray, inside), (after, inside_after) = first, second
    height, width = gray.shape
    outside = ~dilate(inside | inside_after, 4)
    flow = optical_flow(gray, after)
    camera = homography_flow(_camera_motion(gray, after, outside, flow), height, width)
    speed = np.hypot(*np.moveaxis(flow - camera, -1, 0))
    moving = inside & (speed > _LEAST_MOTION * height)
    if moving.sum() < _LEAST_VOTES * inside.sum() or not moving.any():
        return _Votes(0, 0, int(inside.sum()))
    shift = np.median((flow - camera)[moving], 0).astype(np.float32)
    if np.hypot(*shift) < _LEAST_MOTION * height:  # it moves back and forth, with no way of its own
        return _Votes(0, 0, int(inside.sum()))
    as_scene, as_subject, by_flow = (
        _difference(gray, after, guess) for guess in (camera, camera + shift, flow)
    )
    as_moving = np.minimum(as_subject, np.where(moving, by_flow, np.inf))
    still = inside & (as_scene < _SAME) & (as_subject > as_scene + _CLEARER)
    gone = inside & (as_moving < as_scene - _CLEARER)
    for_still, for_moving = (_around(votes) for votes in (still & ~gone, gone))
    is_decided = inside & (for_still + for_moving >= _LEAST_VOTES)
    is_still = is_decided & (for_still > for_moving)
    return _Votes(int(is_still.sum()), int((is_decided & ~is_still).sum()), int(inside.sum()))


def _around(votes: BoolArray) -> FloatArray:
    """Return the share of votes in the patch around each point."""
    side = len(votes) // _PATCHES
    return np.asarray(cv2.blur(votes.astype(np.float32), (side, side)), np.float32)


def _camera_motion(
    gray: ByteArray, after: ByteArray, outside: BoolArray, flow: FloatArray
) -> Homography:
    """Return the motion by corners, or by dense flow where that fits better: soft walls have none.

    Both are of the scene outside of the matte.
    """
    found = find_camera_motion(gray, after, outside)
    starts = np.ascontiguousarray(pixel_grid(*gray.shape)[outside][::_EVERY])
    if len(starts) < _LEAST_POINTS:
        return found
    ends = starts + flow[outside][::_EVERY]
    affine, _ = cv2.estimateAffine2D(starts, ends, ransacReprojThreshold=1.0)
    dense = found if affine is None else np.vstack([affine, [0, 0, 1.0]])
    errors = [alignment_error(gray, after, outside, each) for each in (found, dense)]
    return dense if errors[1] < errors[0] else found


def _difference(gray: ByteArray, after: ByteArray, flow: FloatArray) -> FloatArray:
    moved = warp(after.astype(np.float32), flow)
    return blur(np.abs(gray.astype(np.float32) - moved) / 255, _BLUR_PX)


def _small(picture: NDArray[np.float32], cover: NDArray[np.float32]) -> tuple[ByteArray, BoolArray]:
    """Return the gray picture and where the matte covers it, no higher than is needed."""
    height, width = cover.shape
    scale = min(1.0, _HEIGHT / height)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    pixels = np.ascontiguousarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(cover, size, interpolation=cv2.INTER_AREA) > 0.5
    return to_gray(np.asarray(small, np.uint8)), np.asarray(inside)
