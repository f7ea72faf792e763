"""Amounts and fields that are drawn at random to vary frames for training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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
        """Return for each row a value between ``low`` and ``high`` [B, 1, 1, 1]."""
        return (low + (high - low) * self._uniform(len(like))).view(-1, 1, 1, 1)

    def _some(self, like: Tensor, share: float) -> Tensor:
        """Return for a ``share`` of the rows True [B, 1, 1, 1]."""
        return (self._uniform(len(like)) < share).view(-1, 1, 1, 1)

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)
