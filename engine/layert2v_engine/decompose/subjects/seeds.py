"""The mask of a subject on a frame where an artist has shown it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, blur
from layert2v_engine.decompose.protocols import Box, SaliencyNetwork
from layert2v_engine.decompose.subjects.clicks import correct_mask, read_clicks
from layert2v_engine.decompose.subjects.colors import cut_in_box
from layert2v_engine.decompose.subjects.hints import FrameHints
from layert2v_engine.decompose.subjects.regions import (
    box_plane,
    grow,
    mask_box,
    overlap,
    predict_in_box,
)

_MARGINS = (0.05, 0.15, 0.3)  # of boxes around a hint: which one the network likes differs
_WIDE_MARGIN = 0.5  # of a box of the artist's, beside the whole picture
_SAME, _WORSE = 0.7, 0.15  # overlap and score of what is averaged with the best one
_AGREEMENT, _LIKE = 0.6, 4  # weight of how well a candidate agrees with so many others
_CUT, _MOVED = -0.1, -0.3  # a cut fits its box of itself; what moves is only a part
_LEAST_FILL = 0.08  # of its box that a subject takes


def seed_mask(
    picture: ByteArray,
    hints: FrameHints,
    saliency: SaliencyNetwork,
    expected: FloatArray | None = None,
    moving: FloatArray | None = None,
) -> FloatArray:
    """Return the subject ``[h, w]`` in 0..1 that hints show on a picture ``[h, w, 3]``.

    ``expected`` is about how large it is and where, for hints that are points alone. ``moving``
    is 1 where the picture does not move as the camera does.
    """
    if hints.mask is not None:
        return hints.mask
    height, width = picture.shape[:2]
    shown = _shown_box(hints, width, height, expected)
    margins = (*_MARGINS, _WIDE_MARGIN) if hints.boxes else _MARGINS
    boxes = [grow(shown, width, height, margin, 0.1) for margin in margins]
    boxes += [Box(0, 0, width, height)] if hints.boxes else []
    seen = [limit_to_boxes(predict_in_box(saliency, picture, box), hints) for box in boxes]
    candidates = [_Candidate(mask, 0.0) for mask in seen]
    if hints.boxes:
        candidates += _cuts(picture, shown, moving)
    chosen = _choose(candidates, hints, shown)
    return apply_strokes(correct_mask(picture, chosen, read_clicks(picture, chosen, hints)), hints)


class _Candidate(NamedTuple):
    """A mask that may be the subject; ``prior`` is how much more one of its kind is trusted."""

    mask: FloatArray
    prior: float


def _cuts(picture: ByteArray, shown: Box, moving: FloatArray | None) -> list[_Candidate]:
    """Return what a box shows by its colors and by what moves in it."""
    cuts = [_Candidate(cut_in_box(picture, shown), _CUT)]
    if moving is not None:
        moved = 2 * blur(moving, 1.5).clip(0.0, 0.5) * box_plane(shown, moving.shape)
        cuts.append(_Candidate(moved.astype(np.float32), _MOVED))
        cuts.append(_Candidate(cut_in_box(picture, shown, cuts[-1].mask), _CUT))
    return cuts


def _choose(candidates: Sequence[_Candidate], hints: FrameHints, shown: Box) -> FloatArray:
    """Return the best candidate, averaged with those that are about as good and alike.

    Of those that hang together with others, since what is found in several ways is there.
    """
    scores = []
    for candidate in candidates:
        inside = candidate.mask > 0.5
        others = (overlap(inside, each.mask > 0.5) for each in candidates if each is not candidate)
        agreement = float(np.mean(sorted(others, reverse=True)[:_LIKE]))
        score = _agreement(candidate.mask, hints, shown) + _AGREEMENT * agreement
        is_speck = bool(hints.boxes) and float(inside.sum()) < _LEAST_FILL * shown.area
        scores.append(score + candidate.prior - 2.0 * is_speck)
    best = candidates[int(np.argmax(scores))].mask
    same = [
        each.mask
        for each, score in zip(candidates, scores, strict=True)
        if overlap(each.mask > 0.5, best > 0.5) > _SAME and score > max(scores) - _WORSE
    ]
    return np.asarray(np.mean(same or [best], 0), np.float32)


def box_fit(mask: FloatArray, hints: FrameHints) -> float:
    """Return in 0..1 how well a mask fills the artist's boxes, 1 where there are none."""
    if not hints.boxes:
        return 1.0
    box = mask_box(limit_to_boxes(mask, hints))
    if box is None:
        return 0.0
    height, width = mask.shape
    shown = _shown_box(hints, width, height)
    return overlap(box_plane(box, mask.shape), box_plane(shown, mask.shape))


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
    """Return how well a mask fits the hints: boxes, or how sharp it is where none are drawn."""
    box = mask_box(mask)
    if box is None:
        return -1.0
    if hints.boxes:
        score = overlap(box_plane(box, mask.shape), box_plane(shown, mask.shape))
    else:
        score = float(np.abs(2 * mask - 1)[mask > 0.08].mean())
    for points, sign in ((hints.inside, 1.0), (hints.outside, -1.0)):
        for x, y in points:
            row = min(max(int(y), 0), mask.shape[0] - 1)
            column = min(max(int(x), 0), mask.shape[1] - 1)
            score += sign * float(mask[row, column])
    return score


def apply_strokes(mask: FloatArray, hints: FrameHints) -> FloatArray:
    """Return a mask that is 1 at strokes on the subject and 0 at those beside it."""
    if hints.scribble is None:
        return mask
    marked = np.where(hints.scribble > 0.5, 1.0, np.where(hints.scribble < -0.5, 0.0, mask))
    return marked.astype(np.float32)
