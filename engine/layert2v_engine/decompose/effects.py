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
    luminance,
)

_REACH = 0.04  # of the longer side: how near to the subject an effect must come
_MIN_SHADOW, _MIN_LIGHT = 0.04, 0.06
_FEATHER_PX = 1.5
_MIN_SHARE = 0.0005  # of the picture; smaller specks are noise


def keep_attached_shadow(shadow: FloatArray, subject: BoolArray) -> FloatArray:
    """Return ``shadow`` ``[H, W]`` where it reaches the subject; exactly 0 elsewhere."""
    kept = _find_attached(shadow > _MIN_SHADOW, subject)
    soft = blur(dilate(kept, 2).astype(np.float32), _FEATHER_PX)
    return (shadow * np.where(soft > 0.01, soft, 0.0)).astype(np.float32)


def find_light(
    source: FloatArray, plate: FloatArray, subject: BoolArray, invented: BoolArray
) -> FloatArray:
    """Return where ``source`` is brighter than a seen plate beside a subject, ``[H, W]`` in 0..1.

    Pictures are ``[H, W, 3]``, scene-linear.
    """
    brighter = blur(encode(luminance(source)) - encode(luminance(plate)), 2.0)
    noise = float(np.median(np.abs(brighter[~subject]))) if (~subject).any() else 0.0
    found = (brighter > max(_MIN_LIGHT, 5 * noise)) & ~invented
    kept = _find_attached(found, subject)
    soft = blur(dilate(kept, 2).astype(np.float32), _FEATHER_PX)
    return np.where(soft > 0.01, soft, 0.0).astype(np.float32)


def _find_attached(found: BoolArray, subject: BoolArray) -> BoolArray:
    reach = dilate(subject, max(2, round(_REACH * max(subject.shape))))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    touching = np.unique(labels[reach & found])
    large = stats[:count, cv2.CC_STAT_AREA] >= _MIN_SHARE * found.size
    kept = [label for label in touching if label > 0 and large[label]]
    return np.asarray(np.isin(labels, kept))
