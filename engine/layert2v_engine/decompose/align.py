"""The plate drawn to the footage where both show the same, smoothly, and into the subject."""

from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.arrays import (
    WHOLE,
    BoolArray,
    FloatArray,
    Part,
    Size,
    blur,
    decode,
    encode,
    fit_within,
    resize,
)

_SIDE = 320
_SIGMA = 0.06  # of the longer side: smaller would take shadows for drift
_ROUNDS = 3
_FLOOR = 1.5 / 255  # differences below this are noise


def find_drift(source: FloatArray, plate: FloatArray, hole: BoolArray) -> FloatArray | None:
    """Return by how much ``source`` differs from ``plate`` ``[H, W, 3]`` around a hole, encoded.

    ``hole`` is true where the footage does not show the plate. The drift ``[h, w, 3]`` is smooth
    and small; None where there is none. Reweighted smoothing: what differs strongly, such as a
    shadow, has no say.
    """
    small = fit_within(Size(plate.shape[1], plate.shape[0]), _SIDE)
    known = resize((~hole).astype(np.float32), small) > 0.99
    difference = encode(resize(source, small)) - encode(resize(plate, small))
    sigma = _SIGMA * max(small)
    weight = known.astype(np.float32)
    drift = np.zeros_like(difference)
    for _ in range(_ROUNDS):
        error = np.abs(difference - drift).max(-1)
        scale = float(np.median(error[known])) + _FLOOR if known.any() else 1.0
        weight = known / (1 + (error / (2 * scale)) ** 2)
        total = blur(weight.astype(np.float32), sigma)[..., None]
        drift = blur((difference * weight[..., None]).astype(np.float32), sigma)
        drift = drift / (total + 0.02)  # fades out where nothing is known
    if float(np.abs(drift).max()) < _FLOOR:
        return None
    return drift.astype(np.float32)


def align_plate(
    plate: FloatArray, drift: FloatArray | None, size: Size, part: Part = WHOLE
) -> FloatArray:
    """Return ``part`` of a plate of ``size`` in the exposure and color of the footage.

    ``plate`` ``[H, W, 3]`` is that part; ``drift`` is what ``find_drift`` returned of the whole.
    """
    if drift is None:
        return plate
    return decode(np.maximum(encode(plate) + resize(drift, size)[part], 0.0))
