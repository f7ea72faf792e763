"""Masks made to follow the colors of a picture (GrabCut, Rother 2004)."""

from __future__ import annotations

from typing import NamedTuple, Self

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
    fit_within,
    resize,
)
from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.regions import box_plane, grow, mask_box

_SIDE = 320  # of the part of a picture around the mask
_MARGIN = 0.35  # of the mask's box: colors of the background are taken from as far away
_UNSURE = 0.04  # of the longer side of the box: how far an outline may move
_ROUNDS, _ROUNDS_IN_BOX = 2, 4
_SOFTNESS = 0.7  # pixels of the cut


def cut_by_colors(
    picture: ByteArray,
    mask: FloatArray,
    *,
    certain: float = 0.97,
    inside: BoolArray | None = None,
    outside: BoolArray | None = None,
) -> FloatArray:
    """Return a mask ``[h, w]`` whose outline follows the colors of ``picture`` ``[h, w, 3]``.

    Where ``mask`` is at least ``certain``, away from its outline, it stays; so does what is
    ``inside`` and ``outside`` for sure. The mask itself where nothing can be told.
    """
    box = mask_box(mask)
    if box is None:
        return mask
    crop = _Crop.around(picture, box)
    labels = _labels(crop.shrink(mask), certain, max(2, round(_UNSURE * max(crop.size))))
    for place, label in ((inside, cv2.GC_FGD), (outside, cv2.GC_BGD)):
        if place is not None:
            labels[crop.shrink(place.astype(np.float32)) > 0.5] = label
    if not ((labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any()):
        return mask
    return crop.cut(labels, _ROUNDS)


def cut_in_box(picture: ByteArray, box: Box, guess: FloatArray | None = None) -> FloatArray:
    """Return by its colors what of ``picture`` ``[h, w, 3]`` a box is drawn around, ``[h, w]``.

    What lies outside of the box is background for sure. ``guess`` ``[h, w]`` is what the colors
    inside are first taken from, all of the box without it. Empty where nothing can be told.
    """
    crop = _Crop.around(picture, box)
    shape = picture.shape[:2]
    is_inside = crop.shrink(box_plane(box, shape).astype(np.float32)) > 0.5
    is_guess = is_inside if guess is None else is_inside & (crop.shrink(guess) > 0.5)
    if is_inside.all() or not is_guess.any():
        return np.zeros(shape, np.float32)
    labels = np.full(is_inside.shape, cv2.GC_BGD, np.uint8)
    labels[is_inside] = cv2.GC_PR_BGD
    labels[is_guess] = cv2.GC_PR_FGD
    return crop.cut(labels, _ROUNDS_IN_BOX)


def cut_labels(picture: ByteArray, labels: ByteArray, rounds: int = _ROUNDS) -> FloatArray:
    """Return the foreground ``[h, w]`` that GrabCut makes of its labels on ``[h, w, 3]``.

    Large pictures are cut at a smaller size.
    """
    whole = Size(picture.shape[1], picture.shape[0])
    size = fit_within(whole, _SIDE)
    crop = _Crop(picture, (slice(0, whole.height), slice(0, whole.width)), size)
    small = cv2.resize(labels, tuple(size), interpolation=cv2.INTER_NEAREST)
    return crop.cut(np.asarray(small, np.uint8), rounds)


class _Crop(NamedTuple):
    """The part of a picture around a box, at a bounded size."""

    picture: ByteArray
    part: Part
    size: Size

    @classmethod
    def around(cls, picture: ByteArray, box: Box) -> Self:
        height, width = picture.shape[:2]
        left, top, right, bottom = (int(side) for side in grow(box, width, height, _MARGIN, 0.0))
        size = fit_within(Size(right - left, bottom - top), _SIDE)
        return cls(picture, (slice(top, bottom), slice(left, right)), size)

    def shrink(self, plane: FloatArray) -> FloatArray:
        """Return the part of a plane ``[h, w]`` at the size of the crop."""
        return resize(plane[self.part], self.size)

    def cut(self, labels: ByteArray, rounds: int) -> FloatArray:
        """Return the foreground that GrabCut makes of labels, ``[h, w]`` of the picture."""
        shown = np.ascontiguousarray(self.picture[self.part])
        small = cv2.resize(shown, tuple(self.size), interpolation=cv2.INTER_AREA)
        pixels = np.asarray(small, np.uint8)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # models, made by the call
        whole = (0, 0, *self.size)  # not looked at, since there are labels
        cv2.setRNGSeed(0)  # the color models start from random samples
        cv2.grabCut(
            pixels, labels, whole, background, foreground, rounds, cv2.GC_INIT_WITH_MASK
        )  # fmt: skip
        cut = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
        found = np.zeros(self.picture.shape[:2], np.float32)
        rows, columns = self.part
        full = Size(columns.stop - columns.start, rows.stop - rows.start)
        found[self.part] = resize(blur(cut, _SOFTNESS), full)
        return found


def _labels(level: FloatArray, certain: float, reach: int) -> ByteArray:
    """Return GrabCut's labels: sure of the core and of what is far, guessing in between."""
    labels = np.where(level > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[~dilate(level > 0.2, reach)] = cv2.GC_BGD
    labels[erode(level > certain, reach)] = cv2.GC_FGD
    return labels
