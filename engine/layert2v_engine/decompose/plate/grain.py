"""The grain of footage, put back where the plate takes its place.

A median of frames has none, and neither has what is invented; a clean patch in grainy footage is
seen at once when it plays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import BoolArray, FloatArray, blur, decode, encode

_STEP = 3  # of rows and columns that grain is measured on
_SIZE_PX = 0.6  # of grain: a little softer than single pixels, as after demosaicing or a codec
_LEAST = 0.5 / 255  # less is not seen
_MOST = 12.0 / 255  # more is a plate that does not match, not grain
_MAD_TO_SIGMA = 1.4826


def add_grain(plate: FloatArray, sigma: FloatArray, hole: BoolArray, seed: int) -> FloatArray:
    """Return ``plate`` ``[H, W, 3]`` with grain in ``hole`` ``[H, W]``.

    ``sigma`` is what ``measure_grain`` returned. The same ``seed`` gives the same grain.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not len(rows) or float(sigma.max()) < _LEAST:
        return plate
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    shape = plate[part].shape
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    noise = blur(noise, _SIZE_PX)
    noise *= sigma / max(float(noise.std()), 1e-6)
    grained = decode(np.maximum(encode(plate[part]) + noise, 0.0))
    result = plate.copy()
    result[part] = np.where(hole[part][..., None], grained, plate[part])
    return result


def measure_grain(
    plate: NDArray[np.floating],
    source: NDArray[np.floating],
    hole: BoolArray,
    *,
    is_grained: bool = False,
) -> FloatArray:
    """Return the standard deviation of the grain that each channel of the plate lacks, encoded.

    Grain is what the footage ``source`` ``[H, W, 3]`` differs by from the plate where both show the
    background, that is outside of ``hole`` ``[H, W]``, without what is smooth. A plate that may
    have grain of its own, ``is_grained``, lacks no more than the footage has beyond it.
    """
    height = plate.shape[0]
    strips = range(0, height - 32, max(32, height // 8))  # a part of the picture says enough
    found, fines = [], []
    for top in strips:
        part = slice(top, top + 32)
        open_pixels = ~hole[part]
        pair = (each[part].astype(np.float32) for each in (source, plate))
        first, second = (encode(each) for each in pair)
        found.append(np.abs(_fine(first - second))[open_pixels][::_STEP])
        if is_grained:
            pair = (_fine(each)[open_pixels][::_STEP] for each in (first, second))
            fines.append(np.stack([np.square(each) for each in pair]))
    values = np.concatenate(found) if found else np.zeros((0, 3), np.float32)
    if len(values) < 100:
        return np.zeros(3, np.float32)
    sigma = _MAD_TO_SIGMA * np.median(values, 0)
    if is_grained:
        footage, own = np.concatenate(fines, 1).mean(1)
        sigma = np.minimum(sigma, np.sqrt(np.maximum(footage - own, 0.0)))
    return np.where(sigma > _MOST, 0.0, sigma).astype(np.float32)


def _fine(encoded: FloatArray) -> FloatArray:
    """Return what is not smooth in a picture ``[H, W, 3]``."""
    return encoded - blur(encoded, 2.0)
