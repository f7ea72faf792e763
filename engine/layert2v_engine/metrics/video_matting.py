"""Matting errors under the names and scales that papers on video matting report.

Those of RVM (Lin et al., WACV 2022) and MatAnyone (Yang et al., CVPR 2025): MAD and MSE x 1000,
Grad and Conn in thousands per frame, dtSSD (Erofeev et al., BMVC 2015) x 100. SAD is in thousands
of pixels per frame. ``metrics.matting`` has the same ideas in the scale of the still image
benchmark.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import correlate1d
from torch import Tensor

from layert2v_engine.metrics.matting import Plane, matte_errors

_SIGMA, _CUT = 1.4, 1e-2  # of the derivative filter, and the value it is cut off at


def video_matting_errors(matte: Tensor, target: Tensor) -> dict[str, float]:
    """Return the errors of a clip's matte [T, H, W] in 0..1, means over its frames.

    The first frame has no dtSSD and counts with 0.
    """
    difference = (matte - target).float()
    changes = difference.diff(dim=0).square().mean((1, 2)).sqrt()
    shared = matte_errors(matte[None], target[None])
    planes = zip(*(x.float().cpu().numpy() for x in (matte, target)), strict=True)
    return {
        "MAD": float(difference.abs().mean()) * 1e3,
        "SAD": shared["sad"],
        "MSE": shared["mse"],
        "Grad": float(np.mean([_gradient_error(*pair) for pair in planes])),
        "Conn": shared["connectivity"],
        "dtSSD": float(changes.sum()) / len(difference) * 100,
    }


def _gradient_error(matte: Plane, target: Plane) -> float:
    """Return the squared difference of gradients in thousands, each matte stretched to 0..1."""
    difference = _gradient(_stretch(matte)) - _gradient(_stretch(target))
    return float(np.square(difference).sum()) / 1e3


def _stretch(plane: Plane) -> Plane:
    low, high = float(plane.min()), float(plane.max())
    return (plane - low) / (high - low) if high > low else np.zeros_like(plane)


def _gradient(plane: Plane) -> Plane:
    """Return the length of the Gaussian gradient, its filters of unit energy, [H, W]."""
    radius = math.ceil(_SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * _SIGMA * _CUT)))
    x = np.arange(-radius, radius + 1)
    smooth = np.exp(-(x**2) / (2 * _SIGMA**2))
    slope = -x * smooth
    smooth, slope = (each / np.linalg.norm(each) for each in (smooth, slope))
    across, down = (
        correlate1d(correlate1d(plane, slope, a, mode="nearest"), smooth, 1 - a, mode="nearest")
        for a in (1, 0)
    )
    return np.asarray(np.hypot(across, down), np.float32)
