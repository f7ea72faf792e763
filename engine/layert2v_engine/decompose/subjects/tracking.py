"""A subject carried on from the frames where it is known to those between them and around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray, dilate
from layert2v_engine.decompose.motion import warp
from layert2v_engine.decompose.protocols import Box, SaliencyNetwork
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.regions import (
    SeenMask,
    average,
    grow,
    keep_main_parts,
    mask_box,
    overlap,
    predict_in_box,
)

CLOSE_MARGIN, CLOSE_LEAST = 0.22, 0.4  # of the box in which a known subject is seen close up
# How much the close view counts: much where it is far closer than before, since then it shows more;
# else as much as the rest, and only if it agrees, since a subject that fills its view stands out
# less.
_CLOSER, _MUCH_CLOSER = 0.9, 0.35  # areas of the views
_CLOSER_VIEW = 0.8  # the same where every frame is looked at
_CLOSE_WEIGHT, _LIKE_WEIGHT = 0.65, 0.5
_ALIKE = 0.7  # overlap with what was seen on the frame, or moved from another
_REACH, _REACH_OF_BOX = 0.02, 0.12  # how far an outline may leave the flow, of width and of box
_SAME = 0.5  # intersection over union of two masks of one subject
_WIDER_MARGIN = 0.6  # of a second view of a subject that is followed
_SURE = 0.65  # overlap with what was moved from another frame: no second view is needed
_DRIFT, _LEAST_KEPT = 0.15, 0.5  # of the reach with each frame; share of a mask
_COLOR_MATCH = 20.0  # of 255: pixels of neighbors count less, the more their colors differ
_NEIGHBOR = 0.5


class SubjectTracker:
    """Follows one subject through a window of frames ``[T, h, w, 3]``."""

    def __init__(self, pictures: ByteArray, motion: ClipMotion, saliency: SaliencyNetwork) -> None:
        self._pictures, self._motion, self._saliency = pictures, motion, saliency

    def follow(
        self,
        known: Mapping[int, FloatArray],
        candidates: Mapping[int, Sequence[SeenMask]],
    ) -> FloatArray:
        """Return the masks ``[T, h, w]`` of all frames, given those of at least one.

        Each frame is reached from the nearest known one. ``candidates`` are masks of frames that
        may show the subject: those that agree with what is followed are averaged into it.
        """
        count = len(self._pictures)
        start = {k: min(known, key=lambda each: abs(each - k)) for k in range(count)}
        masks = dict(known)
        for k in sorted(range(count), key=lambda each: abs(each - start[each])):
            if k not in masks:
                before = k - 1 if k > start[k] else k + 1
                masks[k] = self._step(before, k, masks[before], candidates.get(k, ()))
        return np.stack([masks[k] for k in range(count)])

    def follow_between(
        self,
        known: Mapping[int, FloatArray],
        candidates: Mapping[int, Sequence[SeenMask]],
    ) -> FloatArray:
        """Return the masks ``[T, h, w]`` of all frames; ``known`` ones stay as they are.

        A frame between two of them is reached from both, and the nearer one counts more.
        """
        frames = sorted(known)
        masks = self._chain(known[frames[0]], range(frames[0], -1, -1), candidates)
        after = range(frames[-1], len(self._pictures))
        masks |= self._chain(known[frames[-1]], after, candidates) | dict(known)
        for first, last in pairwise(frames):
            there = self._chain(known[first], range(first, last), candidates)
            back = self._chain(known[last], range(last, first, -1), candidates)
            for k in range(first + 1, last):
                share = np.float32((k - first) / (last - first))
                masks[k] = (1 - share) * there[k] + share * back[k]
        return np.stack([masks[k] for k in range(len(self._pictures))])

    def _chain(
        self, mask: FloatArray, frames: range, candidates: Mapping[int, Sequence[SeenMask]]
    ) -> dict[int, FloatArray]:
        """Return the masks that one leads to, frame by frame; ``frames`` begin with its own."""
        found = {frames[0]: mask}
        for before, frame in pairwise(frames):
            found[frame] = self._step(before, frame, found[before], candidates.get(frame, ()))
        return found

    def look_everywhere(self, known: Mapping[int, SeenMask]) -> FloatArray:
        """Return the masks ``[T, h, w]`` of a subject that stays in a box on the frames around.

        Every frame is seen in the box of the nearest known one, and close up.
        """
        height, width = self._pictures.shape[1:3]
        masks: list[FloatArray] = []
        for frame, picture in enumerate(self._pictures):
            nearest = min(known, key=lambda each: abs(each - frame))
            mask, view = known[nearest]
            if nearest != frame:
                mask = predict_in_box(self._saliency, picture, view)
            expected = mask
            if masks:
                expected = 0.5 * mask + 0.5 * warp(masks[-1], self._motion.flow(frame, frame - 1))
            box = mask_box(keep_main_parts(expected))
            close = None if box is None else grow(box, width, height, CLOSE_MARGIN, CLOSE_LEAST)
            if close is not None and close.area <= _CLOSER_VIEW * view.area:
                seen = predict_in_box(self._saliency, picture, close)
                mask = (1 - _CLOSE_WEIGHT) * mask + _CLOSE_WEIGHT * seen
            masks.append(mask)
        return np.stack(masks)

    def keep_near(self, masks: FloatArray, frame: int, shown: FloatArray) -> FloatArray:
        """Return masks without what lies far from a mask ``shown`` on a frame, along the flow.

        A view of the whole picture also sees what an artist did not mean. A mask that would lose
        most of itself stays: there the flow has lost the subject.
        """
        kept = masks.copy()
        for order in (range(frame, len(masks)), range(frame, -1, -1)):
            moved = shown
            for before, k in pairwise(order):
                moved = warp(moved, self._motion.flow(k, before))
                box = mask_box(moved)
                if box is None:
                    break
                longest = max(box.right - box.left, box.bottom - box.top)
                drift = 1 + _DRIFT * abs(k - frame)
                near = dilate(moved > 0.3, max(2, round(_REACH_OF_BOX * longest * drift)))
                if float((masks[k] * near).sum()) > _LEAST_KEPT * float(masks[k].sum()):
                    kept[k] = masks[k] * near
        return kept

    def look_closely(self, frame: int, found: SeenMask) -> FloatArray:
        """Return the mask of a frame averaged with what is seen in a box close around it.

        A box that is hardly smaller than the one it was found in shows nothing new.
        """
        mask = found.mask
        height, width = mask.shape
        box = mask_box(keep_main_parts(mask))
        if box is None:
            return mask
        close = grow(box, width, height, CLOSE_MARGIN, CLOSE_LEAST)
        if close.area > _CLOSER * found.box.area:
            return mask
        seen = predict_in_box(self._saliency, self._pictures[frame], close)
        is_closer = close.area < _MUCH_CLOSER * found.box.area
        return _blend(mask, seen, mask, is_closer)

    def _step(
        self, before: int, frame: int, mask: FloatArray, candidates: Sequence[SeenMask]
    ) -> FloatArray:
        """Return the mask of a frame from that of its neighbor ``before``."""
        moved = warp(mask, self._motion.flow(frame, before))
        box = mask_box(moved)
        if box is None:
            return moved
        longest = max(box.right - box.left, box.bottom - box.top)
        reach = max(2, round(_REACH * mask.shape[1]), round(_REACH_OF_BOX * longest))
        near = dilate(moved > 0.3, reach)
        seen, is_closer = self._look_around(frame, moved, box, near)
        agreeing = [
            SeenMask(each.mask * near, each.box)
            for each in candidates
            if overlap(each.mask > 0.5, moved > 0.5) > _SAME
        ]
        expected = average(moved, agreeing)
        return keep_main_parts(_blend(expected, seen, moved, is_closer))

    def _look_around(
        self, frame: int, moved: FloatArray, box: Box, near: BoolArray
    ) -> tuple[FloatArray, bool]:
        """Return what is seen of a subject ``moved`` to a frame, and whether from much closer.

        From close up first, and from farther away where that shows something else.
        """
        height, width = moved.shape
        best, best_overlap, is_closer = moved, -1.0, False
        for margin in (CLOSE_MARGIN, _WIDER_MARGIN):
            view = grow(box, width, height, margin, CLOSE_LEAST)
            seen = predict_in_box(self._saliency, self._pictures[frame], view) * near
            agreement = overlap(seen > 0.5, moved > 0.5)
            if agreement > best_overlap:
                best, best_overlap = seen, agreement
                is_closer = view.area < _MUCH_CLOSER * width * height
            if best_overlap > _SURE:
                break
        return best, is_closer

    def smooth(self, masks: FloatArray) -> FloatArray:
        """Return masks averaged with those of their neighbors along the flow, by their colors."""
        smoothed = []
        for frame, mask in enumerate(masks):
            total, weight = mask.copy(), np.ones_like(mask)
            for other in (frame - 1, frame + 1):
                if 0 <= other < len(masks):
                    flow = self._motion.flow(frame, other)
                    color = warp(self._pictures[other].astype(np.float32), flow)
                    error = np.abs(color - self._pictures[frame]).max(-1) / _COLOR_MATCH
                    share = _NEIGHBOR * np.exp(-(error**2))
                    total += share * warp(masks[other], flow)
                    weight += share
            smoothed.append((total / weight).astype(np.float32))
        return np.stack(smoothed)


def _blend(mask: FloatArray, seen: FloatArray, before: FloatArray, is_closer: bool) -> FloatArray:
    """Return a mask with what is seen close up, or by itself if that is not like ``before``."""
    if overlap(seen > 0.5, before > 0.5) < (_SAME if is_closer else _ALIKE):
        return mask
    weight = _CLOSE_WEIGHT if is_closer else _LIKE_WEIGHT
    return (1 - weight) * mask + weight * seen
