"""Masks drawn to what differs from the background that other frames show.

Saliency and flow know an outline to some pixels only. Where the camera's motion is known, and other
frames of the window show what lies behind a subject, the difference from that tells more: what
differs is the subject or its shadow, what is the same is not. Where nothing was seen behind it,
the colors of what was told decide (GrabCut, Rother 2004). A subject that hides the same place on
all frames keeps its mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    Part,
    Size,
    blur,
    dilate,
    erode,
)
from layert2v_engine.decompose.motion import to_gray
from layert2v_engine.decompose.plate.canvas import Canvas
from layert2v_engine.decompose.subjects.colors import cut_labels
from layert2v_engine.decompose.subjects.regions import grow, keep_main_parts, mask_box

_SIDE = 320  # of a picture on which the lengths below are what they say, in pixels
_HOLE, _NEAR = 2.5, 12.0  # around a mask: what is not taken for background; how far it may grow
_AROUND = 32.0  # how far from a mask the usual difference is measured
_OFF, _EDGE, _SPECK, _SOFT = 1.0, 4.0, 2.0, 0.8  # misalignment; motion blur; specks; softness
_MARGIN = 0.35  # of the mask's box: what is looked at
_USUAL, _TIMES, _LEAST = 75, 2.5, 6.0  # percentile of the difference around, what is more, of 255
_SURE_SUBJECT, _SURE_BACKGROUND = 1.0, -0.4  # evidence, in -1..3
_HALF_COVERED = 0.4  # of the largest difference near by: what is blurred covers less
_SHADOW = (0.2, 0.98, 0.08)  # light that is left in a shadow, and how much colors may differ in it
_MOVES = 0.18  # of a mask that must be told from its background: else it stays
_LEAST_KEPT = 0.35  # of a mask: else the difference is something else
_BAND = 2.0  # how far an outline may move where no other frame shows what is there
_ROUNDS, _LOOKS = 2, 2


class _Behind(NamedTuple):
    """What other frames show behind a part of one, ``[h, w, 3]`` float of 255, and where."""

    picture: FloatArray
    is_seen: BoolArray


def draw_to_difference(pictures: ByteArray, masks: FloatArray) -> FloatArray:
    """Return the masks ``[T, h, w]`` of a window ``[T, h, w, 3]`` with outlines where they differ.

    Those of a subject that hides its background on all frames are returned as they are.
    """
    if len(pictures) < 2:
        return masks
    scale = max(1.0, max(pictures.shape[1:3]) / _SIDE)
    holes = _holes(masks, scale)
    size = Size(pictures.shape[2], pictures.shape[1])
    canvas = Canvas([to_gray(picture) for picture in pictures], holes, size)
    for _ in range(_LOOKS):  # a mask that was too large has hidden what others need to see
        drawn, differs = masks.copy(), np.zeros_like(holes)
        for frame, mask in enumerate(masks):
            box = mask_box(mask, 0.3)
            if box is None:
                continue
            left, top, right, bottom = (int(side) for side in grow(box, *size, _MARGIN, 0.0))
            part = (slice(top, bottom), slice(left, right))
            behind = _look_behind(pictures, holes, canvas, frame, part)
            found = _Difference(pictures[frame][part], behind, holes[frame][part], scale)
            differs[frame][part] = found.differs()
            cut = found.cut(mask[part])
            if cut is not None:
                drawn[frame] = 0.0
                drawn[frame][part] = cut
        masks = np.stack([keep_main_parts(mask) for mask in drawn])
        holes = _holes(masks, scale) | differs
    return masks


def _holes(masks: FloatArray, scale: float) -> BoolArray:
    radius = max(2, round(_HOLE * scale))
    return np.stack([dilate(mask > 0.3, radius) for mask in masks])


def _look_behind(
    pictures: ByteArray, holes: BoolArray, canvas: Canvas, frame: int, part: Part
) -> _Behind:
    """Return the median of what all other frames show of a part of one where they are open."""
    rows, columns = (np.arange(each.start, each.stop, dtype=np.float32) for each in part)
    place = canvas.to_canvas(frame, columns[None], rows[:, None])
    shown, opened = [], []
    for other in canvas.chosen:
        if other != frame:
            end = canvas.to_frame(other, place[..., 0], place[..., 1])
            opening = np.where(holes[other], 0, 255).astype(np.uint8)
            opened.append(cv2.remap(opening, end[..., 0], end[..., 1], cv2.INTER_LINEAR) == 255)
            shown.append(cv2.remap(pictures[other], end[..., 0], end[..., 1], cv2.INTER_LINEAR))
    return _median(shown, opened)


def _median(shown: Sequence[np.ndarray], opened: Sequence[np.ndarray]) -> _Behind:
    is_open = np.stack(opened)
    counts = is_open.sum(0)
    values = np.where(is_open[..., None], np.stack(shown).astype(np.int16), 256)  # last in order
    values.sort(0)
    place = np.maximum(counts - 1, 0)[None, ..., None] // 2
    median = np.take_along_axis(values, place, 0)[0]
    return _Behind(np.where(counts[..., None] > 0, median, 0).astype(np.float32), counts > 0)


class _Difference:
    """A part of a frame ``[h, w, 3]`` against what lies behind it."""

    def __init__(self, picture: ByteArray, behind: _Behind, hole: BoolArray, scale: float) -> None:
        self._picture, self._behind, self._hole, self._scale = picture, behind, hole, scale

    def cut(self, mask: FloatArray) -> FloatArray | None:
        """Return the mask ``[h, w]`` as the difference tells it; None where it does not."""
        evidence = self.evidence
        if evidence is None:
            return None
        inside, seen = mask > 0.5, self._behind.is_seen
        near = dilate(mask > 0.3, self._pixels(_NEAR))
        shadow = self._shadow()
        same = (evidence < _SURE_BACKGROUND) & seen
        other = (evidence > _SURE_SUBJECT) & seen & near & ~shadow & self._is_covered()
        if float((other & inside).sum()) < _MOVES * float(inside.sum()):
            return None
        labels = np.where(inside & ~(shadow & ~same), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels[other] = cv2.GC_FGD
        free = dilate(inside, self._pixels(_BAND)) | other
        labels[~free | ~near | (shadow & ~inside) | (same & ~inside) | _open(same, 1)] = cv2.GC_BGD
        if not ((labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any()):
            return None
        cut = cut_labels(self._picture, labels, _ROUNDS)
        if float((cut > 0.5).sum()) < _LEAST_KEPT * float(inside.sum()):
            return None
        return cut

    def differs(self) -> BoolArray:
        """Tell where other frames may not take this one for their background."""
        if self.evidence is None:
            return np.zeros_like(self._hole)
        near = dilate(self._hole, self._pixels(_NEAR))
        return dilate((self.evidence > 0) & near, self._pixels(1))

    def _pixels(self, length: float) -> int:
        return max(1, round(length * self._scale))

    def _distance(self, off: int) -> FloatArray:
        """Return how far a picture's colors are from those within ``off`` pixels behind them."""
        picture, behind = (
            blur(each.astype(np.float32), 0.7) for each in (self._picture, self._behind.picture)
        )
        around = np.ones((2 * off + 1, 2 * off + 1), np.uint8)
        above, below = picture - cv2.dilate(behind, around), cv2.erode(behind, around) - picture
        return np.asarray(np.maximum(np.maximum(above, below), 0.0).max(-1), np.float32)

    @cached_property
    def evidence(self) -> FloatArray | None:
        """From -1, the same, to 3: how much differs more than around; None if unknown."""
        distance = self._distance(self._pixels(_OFF))
        compared = ~self._hole & self._behind.is_seen
        near = compared & dilate(self._hole, self._pixels(_AROUND))
        if compared.sum() < 200:
            return None
        usual = float(np.percentile(distance[near if near.sum() > 200 else compared], _USUAL))
        least = max(_LEAST, _TIMES * usual)
        evidence = np.clip(1.5 * (distance - least) / least, -1, 3) * self._behind.is_seen
        return blur(evidence.astype(np.float32), _SOFT * self._scale)

    def _is_covered(self) -> BoolArray:
        """Tell where at least about half of a picture is covered, by the largest difference."""
        distance = self._distance(0) * self._behind.is_seen
        around = 2 * self._pixels(_EDGE) + 1
        largest = cv2.dilate(distance, np.ones((around, around), np.uint8))
        return np.asarray(distance > _HALF_COVERED * largest)

    def _shadow(self) -> BoolArray:
        """Tell where the picture is as its background, but darker."""
        least, most, tolerance = _SHADOW
        softness = 1.5 * self._scale
        picture, behind = (
            blur(each.astype(np.float32), softness) + 2
            for each in (self._picture, self._behind.picture)
        )
        left = (picture / behind) ** 2.2
        level = left.mean(-1)
        differs = np.abs(left - level[..., None]).max(-1)
        found = (level > least) & (level < most) & (differs < tolerance * level + 0.02)
        return dilate(_open(found, self._pixels(_SPECK)) & self._behind.is_seen, self._pixels(1))


def _open(mask: BoolArray, radius: int) -> BoolArray:
    """Return a mask without what is thinner than two radii."""
    return dilate(erode(mask, radius), radius)
