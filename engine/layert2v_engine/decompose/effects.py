"""Which changes of the background belong to a subject: its shadow, and light that it reflects.

A plate is never perfect, so a difference counts only where it hangs together with the subject.
"""

from __future__ import annotations

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import (
    BoolArray,
    FloatArray,
    blur,
    dilate,
    encode,
    erode,
    luminance,
)

_REACH = 0.04  # of the longer side: how near to the subject an effect must come
MIN_SHADOW, _MIN_LIGHT = 0.04, 0.06  # less than this is none
_FEATHER_PX = 1.5
# Light falls off; what is strong and ends at once is another subject.
_RIM_PX = 3  # of an edge that was blurred
_FALL, _STRONG = 0.2, 0.15
_MIN_SHARE = 0.0005  # of the picture; smaller specks are noise


def keep_attached_shadow(shadow: FloatArray, subject: BoolArray) -> FloatArray:
    """Return ``shadow`` ``[H, W]`` where it reaches the subject; exactly 0 elsewhere."""
    kept = _find_attached(shadow > MIN_SHADOW, subject)
    soft = blur(dilate(kept, 2).astype(np.float32), _FEATHER_PX)
    return (shadow * np.where(soft > 0.01, soft, 0.0)).astype(np.float32)


def find_light(
    source: FloatArray, plate: FloatArray, subject: BoolArray, excluded: BoolArray
) -> FloatArray:
    """Return where ``source`` is brighter than the plate beside a subject, ``[H, W]`` in 0..1.

    Pictures are ``[H, W, 3]``, scene-linear. ``excluded`` is where that says nothing: the plate was
    never seen, or another subject is there.
    """
    brightness = blur(encode(luminance(source)) - encode(luminance(plate)), 2.0)
    noise = float(np.median(np.abs(brightness[~subject]))) if (~subject).any() else 0.0
    found = (brightness > max(_MIN_LIGHT, 5 * noise)) & ~excluded
    kept = _without_edged(_find_attached(found, subject), brightness, subject)
    soft = blur(dilate(kept, 2).astype(np.float32), _FEATHER_PX)
    return np.where(soft > 0.01, soft, 0.0).astype(np.float32)


def _without_edged(found: BoolArray, brightness: FloatArray, subject: BoolArray) -> BoolArray:
    """Return the regions of ``found`` that fall off beyond their rims."""
    count, labels = cv2.connectedComponents(found.astype(np.uint8))
    beside = dilate(subject, 2 * _RIM_PX)
    kept = found.copy()
    for label in range(1, count):
        region = labels == label
        inside = erode(region, _RIM_PX) & ~erode(region, 2 * _RIM_PX) & ~beside
        outside = dilate(region, 2 * _RIM_PX) & ~dilate(region, _RIM_PX) & ~beside
        if inside.any() and outside.any():
            level, rest = (float(np.median(brightness[each])) for each in (inside, outside))
            kept &= ~region | (level < _STRONG) | (rest > _FALL * level)
    return kept


def _find_attached(found: BoolArray, subject: BoolArray) -> BoolArray:
    reach = dilate(subject, max(2, round(_REACH * max(subject.shape))))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    touching = np.unique(labels[reach & found])
    large = stats[:count, cv2.CC_STAT_AREA] >= _MIN_SHARE * found.size
    kept = [label for label in touching if label > 0 and large[label]]
    return np.asarray(np.isin(labels, kept))
