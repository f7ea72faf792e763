"""Rain and snow that fall behind the subjects, as a moving veil over a background.

Knows falling things only. The tile repeats in both directions, so any drift is seamless.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Per kind and plane: drops per 1000 pixels, length and fall per frame as shares of the height.
_PLANES = {
    "rain": ((14.0, 0.05, 0.13), (7.0, 0.09, 0.21)),
    "snow": ((9.0, 0.0, 0.018), (4.0, 0.0, 0.034)),
}
_COLORS = {"rain": (0.62, 0.68, 0.76), "snow": (0.97, 0.98, 1.0)}
_OPACITY = {"rain": 0.34, "snow": 0.85}


def apply_weather(background: Tensor, kind: str, pan: Tensor, random: torch.Generator) -> Tensor:
    """Return display-referred frames [T, 3, H, W] with weather over them.

    ``pan`` [T] is how many pixels the view has moved to the right.
    """
    if not kind:
        return background
    height, width = background.shape[-2:]
    veil = torch.zeros(len(pan), 1, height, width)
    for nearness, (count, length, fall) in enumerate(_PLANES[kind], 1):
        tile = _tile(kind, count / 1000, round(length * height), nearness, (height, width), random)
        for t, moved in enumerate(pan.tolist()):
            across = round(0.25 * fall * height * t - 0.5 * nearness * moved)
            frame = tile.roll((round(fall * height * t), across), (-2, -1))
            veil[t, 0] = torch.maximum(veil[t, 0], frame)
    bright = torch.tensor(_COLORS[kind])[:, None, None]
    return torch.lerp(background, bright.expand_as(background), veil * _OPACITY[kind])


def _tile(
    kind: str,
    density: float,
    length: int,
    nearness: int,
    size: tuple[int, int],
    random: torch.Generator,
) -> Tensor:
    """Return one picture of drops [H, W] in 0..1, wrapping around."""
    seeds = (torch.rand(1, 1, *size, generator=random) < density).float()
    if kind == "rain":
        wrapped = functional.pad(seeds, (0, 0, length, 0), mode="circular")
        return functional.max_pool2d(wrapped, (length + 1, 1), stride=1)[0, 0] * 0.5 * nearness
    wrapped = functional.pad(seeds, (1, 1, 1, 1), mode="circular")
    flake = torch.tensor([[0.2, 0.55, 0.2], [0.55, 1.0, 0.55], [0.2, 0.55, 0.2]]) * 0.45 * nearness
    return functional.conv2d(wrapped, flake[None, None])[0, 0].clamp_max(1)
