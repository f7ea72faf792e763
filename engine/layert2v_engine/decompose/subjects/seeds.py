"""The mask of a subject on a frame where an artist has shown it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box, SaliencyNetwork
from layert2v_engine.decompose.subjects.colors import cut_by_colors
from layert2v_engine.decompose.subjects.hints import FrameHints
from layert2v_engine.decompose.subjects.regions import (
    box_plane,
    grow,
    mask_box,
    overlap,
    predict_in_box,
)

_MARGINS = (0.05, 0.15, 0.3)  # of boxes around a hint: which one the network likes differs
_SAME, _WORSE = 0.7, 0.1  # overlap and score of what is averaged with the best one
_CUT_WEIGHT = 0.4  # of the cut along the colors
_POINT_RADIUS = 0.02  # of the longer side: what a click stands for


def seed_mask(
    picture: ByteArray,
    hints: FrameHints,
    saliency: SaliencyNetwork,
    expected: FloatArray | None = None,
) -> FloatArray:
    """Return the subject ``[h, w]`` in 0..1 that hints show on a picture ``[h, w, 3]``.

    ``expected`` is about how large it is and where, for hints that are points alone.
    """
    if hints.mask is not None:
        return hints.mask
    height, width = picture.shape[:2]
    shown = _shown_box(hints, width, height, expected)
    candidates = []
    for margin in _MARGINS:
        close = grow(shown, width, height, margin, 0.1)
        candidates.append(limit_to_boxes(predict_in_box(saliency, picture, close), hints))
    scores = [_agreement(mask, hints, shown) for mask in candidates]
    best = candidates[int(np.argmax(scores))]
    same = [
        each
        for each, score in zip(candidates, scores, strict=True)
        if overlap(each > 0.5, best > 0.5) > _SAME and score > max(scores) - _WORSE
    ]
    seen = np.asarray(np.mean(same, 0), np.float32)
    return apply_marks(_cut_in_box(picture, seen, hints) if hints.boxes else seen, hints)


def _cut_in_box(picture: ByteArray, mask: FloatArray, hints: FrameHints) -> FloatArray:
    """Return a mask that also follows the colors, if it then fits the artist's boxes better.

    Around the boxes is background for sure, which tells its colors well.
    """
    height, width = mask.shape
    shown = _shown_box(hints, width, height)
    around = ~box_plane(grow(shown, width, height, 0.02, 0.0), mask.shape)
    points = np.zeros(mask.shape, np.float32)
    inside = apply_marks(points, replace(hints, outside=())) > 0.5
    cut = cut_by_colors(picture, mask, inside=inside, outside=around)
    if overlap(cut > 0.5, mask > 0.5) < _SAME:
        return cut if _agreement(cut, hints, shown) > _agreement(mask, hints, shown) else mask
    return (1 - _CUT_WEIGHT) * mask + _CUT_WEIGHT * cut


def is_obeyed(mask: FloatArray, hints: FrameHints) -> bool:
    """Tell whether a mask is right at the points on its frame."""
    height, width = mask.shape
    for points, is_inside in ((hints.inside, True), (hints.outside, False)):
        for x, y in points:
            row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
            if (mask[row, column] > 0.5) != is_inside:
                return False
    return True


def _shown_box(
    hints: FrameHints, width: int, height: int, expected: FloatArray | None = None
) -> Box:
    """Return the box of the hints.

    Points alone stand for a box as large as the ``expected`` mask's around their middle, or for a
    third of the picture.
    """
    if hints.boxes:
        lefts, tops, rights, bottoms = zip(*hints.boxes, strict=True)
        return Box(min(lefts), min(tops), max(rights), max(bottoms)).clip(width, height)
    if hints.scribble is not None:
        box = mask_box(hints.scribble)
        if box is not None:
            return grow(box, width, height, 0.2, 0.2)
    columns, rows = zip(*(hints.inside or ((width / 2, height / 2),)), strict=True)
    known = None if expected is None else mask_box(expected)
    if known is not None:
        across, down = (known.right - known.left) / 2, (known.bottom - known.top) / 2
    else:
        across = down = max(width, height) / 6
    return Box(
        min(columns) - across, min(rows) - down, max(columns) + across, max(rows) + down
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
        score += 2 * overlap(box_plane(box, mask.shape), box_plane(shown, mask.shape))
    for points, sign in ((hints.inside, 1.0), (hints.outside, -1.0)):
        for x, y in points:
            row = min(max(int(y), 0), mask.shape[0] - 1)
            column = min(max(int(x), 0), mask.shape[1] - 1)
            score += sign * float(mask[row, column])
    return score


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
