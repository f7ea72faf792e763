"""Matting errors against a true matte, as in the matting literature (Rhemann et al., CVPR 2009).

SAD is in thousands of pixels per frame, MSE is the mean squared error x 1000, the gradient error is
the sum of squared differences of Gaussian gradients (sigma 1.4) / 1000 per frame, connectivity
counts disconnected opacity / 1000 per frame.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label
from torch import Tensor

Plane = NDArray[np.float32]


def matte_errors(matte: Tensor, target: Tensor) -> dict[str, float]:
    """Return the mean errors over all frames of mattes [B, T, H, W] in 0..1."""
    pairs = list(
        zip(*(x.flatten(0, 1).float().cpu().numpy() for x in (matte, target)), strict=True)
    )
    errors = [(a - b) for a, b in pairs]
    return {
        "sad": float(np.mean([np.abs(e).sum() for e in errors])) / 1e3,
        "mse": float(np.mean([np.square(e).mean() for e in errors])) * 1e3,
        "gradient": float(np.mean([_gradient_error(a, b) for a, b in pairs])),
        "connectivity": float(np.mean([_connectivity_error(a, b) for a, b in pairs])),
    }


def _gradient_error(matte: Plane, target: Plane) -> float:
    def magnitude(plane: Plane) -> Plane:
        x = gaussian_filter(plane, 1.4, order=(0, 1))
        y = gaussian_filter(plane, 1.4, order=(1, 0))
        return np.asarray(np.hypot(x, y), dtype=np.float32)

    return float(np.square(magnitude(matte) - magnitude(target)).sum()) / 1e3


def _connectivity_error(matte: Plane, target: Plane) -> float:
    return (
        float(
            np.abs(
                _connectedness(matte, target, matte) - _connectedness(matte, target, target)
            ).sum()
        )
        / 1e3
    )


def _connectedness(matte: Plane, target: Plane, plane: Plane) -> Plane:
    """Return how opaque each pixel [H, W] is connected to the common opaque body, in 0..1.

    Differences under 0.15 do not count.
    """
    level = np.full(plane.shape, -1.0, np.float32)
    levels = np.linspace(0, 1, 11, dtype=np.float32)
    for lower, upper in pairwise(levels):
        components, count = label((matte >= upper) & (target >= upper))
        body = np.zeros(plane.shape, bool)
        if count:
            sizes = np.bincount(components.ravel())[1:]
            body = components == 1 + int(sizes.argmax())
        level[(level < 0) & ~body] = lower
    level[level < 0] = 1.0
    distance = plane - level
    return np.asarray(1 - distance * (distance >= 0.15), dtype=np.float32)
