"""Splits of frames into layers, and what is drawn at random to vary them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Frames and their layers. Pictures are network values, the rest opacities in 0..1."""

    source: Tensor  # [B, 3, H, W]
    plate: Tensor  # [B, 3, H, W]
    alpha: Tensor  # [B, 1, H, W]
    shadow: Tensor  # [B, 1, H, W] what is taken from the plate as it is here


def blur(x: Tensor, sigma: float) -> Tensor:
    """Return ``x`` [B, C, H, W] under a Gaussian of ``sigma`` pixels, its edges continued."""
    radius = max(1, int(3 * sigma))
    kernel = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * sigma**2))
    kernel, channels = (kernel / kernel.sum()).to(x), x.shape[1]
    padded = functional.pad(x, (radius,) * 4, mode="replicate")
    rows = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = functional.conv2d(padded, rows, groups=channels)
    return functional.conv2d(padded, rows.transpose(2, 3), groups=channels)


def dilate(x: Tensor, radius: int) -> Tensor:
    """Return the largest value [B, C, H, W] within ``radius`` pixels in both directions."""
    return functional.max_pool2d(x, 2 * radius + 1, 1, radius)


class Draws:
    """Draws amounts and fields from one generator, so that a seed gives the same again."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def _blob(self, like: Tensor) -> Tensor:
        """Return 0 or 1 [B, 1, H, W] in large connected areas, a third of the picture."""
        return (self._smooth(like[:, :1], 4) > 0.45).float()

    def _smooth(self, like: Tensor, cells: int) -> Tensor:
        """Return noise of deviation about 1 that changes over a ``cells``-th of the picture."""
        height, width = like.shape[-2:]
        size = (cells, max(2, round(cells * width / height)))
        coarse = self._normal(*like.shape[:2], *size)
        return functional.interpolate(coarse, (height, width), mode="bicubic")

    def _amount(self, like: Tensor, low: float, high: float) -> Tensor:
        return (low + (high - low) * self._uniform(len(like))).view(-1, 1, 1, 1)

    def _some(self, like: Tensor | Split, share: float) -> Tensor:
        """Return for a ``share`` of the rows True [B, 1, 1, 1]."""
        count = len(like.source if isinstance(like, Split) else like)
        return (self._uniform(count) < share).view(-1, 1, 1, 1)

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)
