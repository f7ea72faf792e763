"""Frames of a square over a ramp with their layers, as the splitter is trained on them."""

from __future__ import annotations

import torch

from layert2v_engine.decompose.splitter.network import linear_values, network_values
from layert2v_engine.training.splitter.splits import Split

HEIGHT, WIDTH, COUNT = 48, 72, 24


def true_split() -> Split:
    """Return a square over a ramp, its shadow beside it."""
    ramp = torch.linspace(0.2, 0.9, WIDTH).expand(COUNT, 3, HEIGHT, WIDTH)
    alpha, shadow = torch.zeros(2, COUNT, 1, HEIGHT, WIDTH)
    alpha[..., 10:34, 20:44] = 1
    shadow[..., 30:38, 40:62] = 0.5
    under = network_values(linear_values(ramp) * (1 - shadow))
    source = torch.lerp(under, torch.tensor(0.1), alpha)
    return Split(source=source, plate=ramp.contiguous(), alpha=alpha, shadow=shadow)
