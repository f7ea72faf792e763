"""Matte and shadow in closed form: what is used where no trained splitter is.

Alpha is the rough mask drawn to the edges of the footage (guided filter, He et al., ECCV 2010).
Shadow is what the footage lacks of the plate's light; a drifting plate looks the same to it, so it
is only as good as the plate.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import (
    WHOLE,
    BoolArray,
    FloatArray,
    Part,
    Size,
    blur,
    dilate,
    encode,
    erode,
    luminance,
    part_around,
    resize,
)
from layert2v_engine.decompose.protocols import SplitLayers

_EDGE = 0.012  # of the longer side: how far the true edge may be from that of the mask
_SMOOTHNESS = 1e-4  # of the guided filter, in squared encoded values
_MIN_SHADOW = 0.05  # below that a ratio says nothing: noise, compression, drift
_GUIDE_RADIUS, _GUIDE_SMOOTHNESS = 2, 1e-5  # of bringing a plane up to full size
_GRAIN_SIDE, _GRAIN_POWER = 5, 2.0  # detail of less than so many times grain's power is grain
_SURE = 1e-3  # a plane this near to 0 or 1 is that
_BLUR_PX = 1.2  # hides a plate that is a pixel off


class ClosedFormSplitter:
    """The splitter without weights."""

    is_temporal = False

    def split(self, source: FloatArray, plate: FloatArray, mask: FloatArray) -> SplitLayers:
        """Return alpha and shadow ``[T, H, W]``; see ``Splitter``."""
        pairs = [_split_frame(*frame) for frame in zip(source, plate, mask, strict=True)]
        return SplitLayers(*(np.stack(planes) for planes in zip(*pairs, strict=True)))

    def find_shadow(self, source: FloatArray, mask: FloatArray) -> FloatArray:
        """Return no shadow: what is dark may be the ground; see ``Splitter``."""
        del source
        return np.zeros_like(mask, np.float32)


def _split_frame(
    source: FloatArray, plate: FloatArray, mask: FloatArray
) -> tuple[FloatArray, FloatArray]:
    radius = max(2, round(_EDGE * max(mask.shape)))
    guided = guided_filter(encode(source), mask, radius, _SMOOTHNESS)
    inside, outside = erode(mask > 0.9, radius), ~dilate(mask > 0.1, radius)
    alpha = np.where(inside, 1.0, np.where(outside, 0.0, guided)).clip(0.0, 1.0)
    subject = dilate(mask > 0.1, radius)
    return alpha.astype(np.float32), _shadow(source, plate, subject)


def _shadow(source: FloatArray, plate: FloatArray, subject: BoolArray) -> FloatArray:
    light = blur(luminance(source), _BLUR_PX) + 1e-3
    expected = blur(luminance(plate), _BLUR_PX) + 1e-3
    lacking = (1.0 - light / expected).clip(0.0, 1.0)
    seen = (~subject).astype(np.float32)
    below = blur(lacking * seen, 4.0) / (blur(seen, 4.0) + 1e-3)  # carried on under the subject
    shadow = np.where(subject, below, lacking)
    return (shadow * (blur(shadow, 3.0) > _MIN_SHADOW)).astype(np.float32)


def guided_filter(
    guide: FloatArray, plane: FloatArray, radius: int, smoothness: float
) -> FloatArray:
    """Return ``plane`` ``[H, W]`` as it follows the edges of ``guide`` ``[H, W, 3]``."""
    slope, offset = guided_coefficients(guide, plane, radius, smoothness)
    return np.asarray((slope * guide).sum(-1) + offset, np.float32)


def guided_coefficients(
    guide: FloatArray, plane: FloatArray, radius: int, smoothness: float
) -> tuple[FloatArray, FloatArray]:
    """Return slope ``[H, W, 3]`` and offset ``[H, W]`` that make ``plane`` of ``guide`` locally."""
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(values, side, borderType=cv2.BORDER_REFLECT), np.float32)

    center, level = mean(guide), mean(plane)
    covariance = mean(guide * plane[..., None]) - center * level[..., None]
    products = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    moments = [mean(guide[..., i] * guide[..., k]) for i, k in products]
    matrix = [
        moment.astype(np.float64) - center[..., i] * center[..., k] + smoothness * (i == k)
        for moment, (i, k) in zip(moments, products, strict=True)
    ]
    slope = _solve_symmetric(matrix, covariance)
    offset = level - (slope * center).sum(-1)
    return mean(slope), mean(offset.astype(np.float32))


def follow_edges(
    plane: FloatArray, small: FloatArray, full: NDArray[np.floating], part: Part = WHOLE
) -> FloatArray:
    """Return ``part`` of a plane at full size, along the edges there (fast guided filter, He 2015).

    ``plane`` ``[h, w]`` in 0..1 belongs to the picture ``small``, and ``full`` is that at full
    size. What is 0 or 1 stays so, and grain of the picture is no edge.
    """
    size = Size(full.shape[1], full.shape[0])
    if plane.shape == full.shape[:2]:
        return plane[part]
    plain = resize(plane, size)[part].copy()
    unsure = (plain >= _SURE) & (plain <= 1 - _SURE)
    inner = part_around(unsure, 0, Size(*unsure.shape[::-1]))
    unsure = unsure[inner]
    if not unsure.size:
        return plain
    slope, base = (
        resize(each, size)[part][inner] for each in (_edge_slope(plane, small), encode(small))
    )
    detail = _without_grain(encode(full[part][inner].astype(np.float32)) - base)
    guided = (plain[inner] + (slope * detail).sum(-1)).clip(0.0, 1.0)
    plain[inner] = np.where(unsure, guided, plain[inner])
    return plain


def _without_grain(detail: FloatArray) -> FloatArray:
    """Return the detail of a picture ``[H, W, 3]`` where that is more than grain, else less of it.

    Slopes are steep where subject and background look alike; grain would become noise of a matte.
    """
    grain = np.square(1.4826 * np.median(np.abs(detail[::3, ::3]), (0, 1)))
    side = (_GRAIN_SIDE, _GRAIN_SIDE)
    power = np.maximum(cv2.blur(np.square(detail), side, borderType=cv2.BORDER_REFLECT), 1e-12)
    return np.asarray(detail * (1.0 - _GRAIN_POWER * grain / power).clip(0.0, 1.0), np.float32)


def _edge_slope(plane: FloatArray, small: FloatArray) -> FloatArray:
    """Return the slope of ``guided_coefficients`` ``[h, w, 3]``, computed where there are edges."""
    slope = np.zeros_like(small)
    edges = (plane > 0) & (plane < 1)
    outer = part_around(edges, 3 + 4 * _GUIDE_RADIUS, Size(*plane.shape[::-1]))
    given = encode(small[outer]), plane[outer]
    slope[outer], _ = guided_coefficients(*given, _GUIDE_RADIUS, _GUIDE_SMOOTHNESS)
    return slope


def _solve_symmetric(matrix: list[NDArray[np.float64]], right: FloatArray) -> FloatArray:
    """Return ``x`` ``[H, W, 3]`` of symmetric 3 x 3 systems, by cofactors.

    ``matrix`` has the upper triangle, row by row. A library's call for each pixel takes long.
    """
    a, b, c, d, e, f = matrix  # in double precision: their products are close to one another
    first = (d * f - e * e, c * e - b * f, b * e - c * d)
    cofactors = (*first, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    rows = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
    solved = [sum(cofactors[k] * right[..., i] for i, k in enumerate(row)) for row in rows]
    return np.asarray(np.stack(solved, -1) / determinant[..., None], np.float32)
