"""Masks made to follow the colors of a picture (GrabCut, Rother 2004)."""

from __future__ import annotations

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    Size,
    blur,
    dilate,
    erode,
    fit_within,
    resize,
)
from layert2v_engine.decompose.subjects.regions import grow, mask_box

_SIDE = 320  # of the part of a picture around the mask
_MARGIN = 0.35  # of the mask's box: colors of the background are taken from as far away
_UNSURE = 0.04  # of the longer side of the box: how far an outline may move
_ROUNDS = 2
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
    height, width = mask.shape
    box = mask_box(mask)
    if box is None:
        return mask
    left, top, right, bottom = (int(side) for side in grow(box, width, height, _MARGIN, 0.0))
    part = (slice(top, bottom), slice(left, right))
    full = Size(right - left, bottom - top)
    small = fit_within(full, _SIDE)
    level = resize(mask[part], small)
    labels = _labels(level, certain, max(2, round(_UNSURE * max(small))))
    for place, label in ((inside, cv2.GC_FGD), (outside, cv2.GC_BGD)):
        if place is not None:
            labels[resize(place[part].astype(np.float32), small) > 0.5] = label
    if not ((labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any()):
        return mask
    shown = np.ascontiguousarray(picture[part])
    pixels = np.asarray(cv2.resize(shown, tuple(small), interpolation=cv2.INTER_AREA), np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # models, made by the call
    whole = (0, 0, *small)  # not looked at, since there are labels
    cv2.setRNGSeed(0)  # the color models start from random samples
    cv2.grabCut(
        pixels, labels, whole, background, foreground, _ROUNDS, cv2.GC_INIT_WITH_MASK
    )  # fmt: skip
    cut = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
    found = np.zeros_like(mask)
    found[part] = resize(blur(cut, _SOFTNESS), full)
    return found


def _labels(level: FloatArray, certain: float, reach: int) -> ByteArray:
    """Return GrabCut's labels: sure of the core and of what is far, guessing in between."""
    labels = np.where(level > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[~dilate(level > 0.2, reach)] = cv2.GC_BGD
    labels[erode(level > certain, reach)] = cv2.GC_FGD
    return labels
