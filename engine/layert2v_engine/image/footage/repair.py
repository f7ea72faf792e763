"""Values that are no numbers, replaced before any filter or matrix spreads them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def repair_non_finite(planes: Tensor) -> tuple[Tensor, int]:
    """Return float ``[C, H, W]`` without NaN and infinities, and how many pixels had them.

    Each takes the mean of the numbers around it, from the border of a hole inwards; a plane without
    any number becomes 0. Planes that need no repair are returned as they are.
    """
    if math.isfinite(float(planes.sum())):  # any NaN or infinity would be in the sum
        return planes, 0
    good = torch.isfinite(planes)
    if bool(good.all()):
        return planes, 0
    count = int((~good).any(0).sum())
    values = torch.where(good, planes, 0.0).double()  # nine of the largest floats have a sum
    weights = good.to(values.dtype)
    while not bool((weights > 0).all()):
        total = 9.0 * F.avg_pool2d(values * weights, 3, 1, 1)
        around = 9.0 * F.avg_pool2d(weights, 3, 1, 1)
        grown = (weights == 0) & (around > 0.5)
        if not bool(grown.any()):
            break  # a plane without a single number
        values = torch.where(grown, total / around.clamp_min(1.0), values)
        weights = torch.where(grown, 1.0, weights)
    return values.to(planes.dtype), count
