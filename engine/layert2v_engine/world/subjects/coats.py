"""Coat patterns: how much of the second color a point of a body has, seen from the side."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def patches(points: Tensor) -> Tensor:
    """Return a giraffe's coat [N]: cells of a jittered grid, 1 inside and 0 in the seams."""
    size = 0.235
    cell = points[:, :2] / size
    cell = torch.stack([cell[:, 0] + 0.5 * (cell[:, 1].floor() % 2), cell[:, 1]], -1)
    best = torch.full((2, len(points)), 9.0)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            corner = cell.floor() + torch.tensor([dx, dy])
            wobble = 0.28 * torch.sin(corner @ torch.tensor([[12.9, 4.1], [7.7, 9.3]]))
            d = (cell - corner - 0.5 - wobble).norm(dim=-1)
            best = torch.stack(
                [torch.minimum(best[0], d), torch.minimum(best[1], torch.maximum(best[0], d))]
            )
    return ((best[1] - best[0] - 0.16) * 10).clamp(0, 1)


def stripes(points: Tensor) -> Tensor:
    """Return the coat [N] of zebra and tiger: upright bands that waver."""
    x, y = points[:, 0], points[:, 1]
    return ((torch.sin(26 * x + 2.2 * torch.sin(4 * y) + 1.5 * torch.sin(9 * y)) - 0.1) * 5).clamp(
        0, 1
    )


def blotches(points: Tensor) -> Tensor:
    """Return a cow's coat [N]: a few large soft-edged blots."""
    x, y = points[:, 0], points[:, 1]
    field = torch.sin(4.6 * x + 0.9) * torch.cos(5.2 * y - 0.4) + 0.5 * torch.sin(8 * x - 6 * y)
    return ((field - 0.15) * 12).clamp(0, 1)


def dots(points: Tensor) -> Tensor:
    """Return the coat [N] of leopard or fawn: small round spots in offset rows."""
    cell = points[:, :2] / 0.13
    cell = torch.stack([cell[:, 0] + 0.5 * (cell[:, 1].floor() % 2), cell[:, 1]], -1)
    return ((0.30 - (cell - cell.floor() - 0.5).norm(dim=-1)) * 12).clamp(0, 1)


COATS: dict[str, Callable[[Tensor], Tensor]] = {
    "patches": patches,
    "stripes": stripes,
    "blotches": blotches,
    "dots": dots,
}
