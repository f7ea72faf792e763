"""The mask of a subject on a frame where an artist has shown it."""

from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box, SaliencyNetwork
from layert2v_engine.decompose.subjects.hints import FrameHints
from layert2v_engine.decompose.subjects.regions import (
    grow,
    mask_box,
    overlap,
    predict_in_box,
)

_MARGINS = (0.05, 0.15, 0.3)  # of boxes around a hint: which one the network likes differs
_POINT_RADIUS = 0.02  # of the longer side: what a click stands for


def seed_mask(picture: ByteArray, hints: FrameHints, saliency: SaliencyNetwork) -> FloatArray:
    """Return the subject ``[h, w]`` in 0..1 that hints show on a picture ``[h, w, 3]``."""
    if hints.mask is not None:
        return hints.mask
    height, width = picture.shape[:2]
    shown = _shown_box(hints, width, height)
    candidates = []
    for margin in _MARGINS:
        close = grow(shown, width, height, margin, 0.1)
        candidates.append(limit_to_boxes(predict_in_box(saliency, picture, close), hints))
    best = max(candidates, key=lambda mask: _agreement(mask, hints, shown))
    return apply_marks(best, hints)


def _shown_box(hints: FrameHints, width: int, height: int) -> Box:
    """Return the box of the hints; a lone point stands for a third of the picture around it."""
    if hints.boxes:
        lefts, tops, rights, bottoms = zip(*hints.boxes, strict=True)
        return Box(min(lefts), min(tops), max(rights), max(bottoms)).clip(width, height)
    if hints.scribble is not None:
        box = mask_box(hints.scribble)
        if box is not None:
            return grow(box, width, height, 0.2, 0.2)
    columns, rows = zip(*(hints.inside or ((width / 2, height / 2),)), strict=True)
    reach = max(width, height) / 6
    return Box(
        min(columns) - reach, min(rows) - reach, max(columns) + reach, max(rows) + reach
    ).clip(width, height)


def limit_to_boxes(mask: FloatArray, hints: FrameHints) -> FloatArray:
    """Return a mask without what lies outside of the artist's boxes, if there are any."""
    if not hints.boxes:
        return mask
    height, width = mask.shape
    shown = _shown_box(hints, width, height)
    left, top, right, bottom = (int(side) for side in grow(shown, width, height, 0.02, 0.0))
    limited = np.zeros_like(mask)
    limited[top:bottom, left:right] = mask[top:bottom, left:right]
    return limited


def _agreement(mask: FloatArray, hints: FrameHints, shown: Box) -> float:
    box = mask_box(mask)
    if box is None:
        return -1.0
    score = float(np.abs(2 * mask - 1)[mask > 0.08].mean())
    if hints.boxes:
        score += 2 * overlap(_box_plane(box, mask), _box_plane(shown, mask))
    for points, sign in ((hints.inside, 1.0), (hints.outside, -1.0)):
        for x, y in points:
            row = min(max(int(y), 0), mask.shape[0] - 1)
            column = min(max(int(x), 0), mask.shape[1] - 1)
            score += sign * float(mask[row, column])
    return score


def _box_plane(box: Box, like: FloatArray) -> np.ndarray:
    plane = np.zeros(like.shape, bool)
    left, top, right, bottom = (int(side) for side in box)
    plane[top:bottom, left:right] = True
    return plane


def apply_marks(mask: FloatArray, hints: FrameHints) -> FloatArray:
    """Return a mask that is 1 at points and strokes of the subject and 0 at those beside it."""
    height, width = mask.shape
    rows, columns = np.mgrid[0:height, 0:width]
    radius = _POINT_RADIUS * max(width, height)
    marked = mask.copy()
    for points, value in ((hints.inside, 1.0), (hints.outside, 0.0)):
        for x, y in points:
            marked[np.hypot(columns - x, rows - y) < radius] = value
    if hints.scribble is not None:
        marked = np.where(hints.scribble > 0.5, 1.0, np.where(hints.scribble < -0.5, 0.0, marked))
    return marked.astype(np.float32)
