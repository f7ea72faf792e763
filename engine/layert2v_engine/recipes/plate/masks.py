"""Masks as video networks take them: dilated, and for each latent frame instead of each frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def union_over_latent_frames(mask: Tensor, group: int) -> Tensor:
    """Return ``[B, T', H, W]``: what any frame of a latent frame has, of ``mask`` ``[B, T, H, W]``.

    The first latent frame stands for the first frame, every other one for ``group`` more. T is a
    multiple of ``group`` and one more.
    """
    head, rest = mask[:, :1], mask[:, 1:]
    groups = rest.unflatten(1, (-1, group)).amax(2) if rest.shape[1] else rest
    return torch.cat((head, groups), 1)


def dilate_mask(mask: Tensor, radius: int) -> Tensor:
    """Return a mask ``[T, 1, H, W]`` of 0 and 1 grown by ``radius`` pixels, as a diamond.

    That is ``radius`` dilations with a cross, as the authors of the networks do it.
    """
    for _ in range(radius):
        across = F.max_pool2d(mask, (1, 3), stride=1, padding=(0, 1))
        down = F.max_pool2d(mask, (3, 1), stride=1, padding=(1, 0))
        mask = torch.maximum(across, down)
    return mask
