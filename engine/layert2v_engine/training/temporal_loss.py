"""Temporal consistency of a decoder: its error should move with what it belongs to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from layert2v_engine.metrics.flow import optical_flow


def temporal_consistency_loss(error: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute change of an error from a frame to the next, along the motion.

    ``error`` and ``target`` are [B, c, 2, H, W], the target in -1..1; its optical flow is the
    motion. An error that moves with the picture does not flicker (arXiv 1808.00449).
    """
    grid, visible = _motion_grid(target[:, :, 0], target[:, :, 1])
    next_error = nn.functional.grid_sample(error[:, :, 1], grid, align_corners=True)
    change = (next_error - error[:, :, 0]).abs().mean(1)
    return (change * visible).sum() / visible.sum().clamp_min(1.0)


def _motion_grid(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the points of a frame [B, c, H, W] in -1..1 are in the next one.

    The positions [B, H, W, 2] are as ``grid_sample`` takes them; the mask [B, H, W] says which
    points are visible in both.
    """
    grays = [((x.mean(1) + 1) * 127.5).round().byte().cpu().numpy() for x in (first, second)]
    flows, visible = zip(*(optical_flow(a, b) for a, b in zip(*grays, strict=True)), strict=True)
    height, width = first.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    positions = torch.stack([x, y], -1) + torch.from_numpy(np.stack(flows))
    size = torch.tensor([width - 1, height - 1])
    return (2 * positions / size - 1).to(first), torch.from_numpy(np.stack(visible)).to(first)
