"""Diversity: seeds against each other, and clips against those a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

GRID = (20, 28)  # rows and columns a picture is reduced to before pictures are compared


def reduce_clip(clip: Tensor) -> Tensor:
    """Return first, middle and last frame of a clip [3, T, H, W], reduced to ``GRID``, as [N]."""
    frames = clip[:, [0, clip.shape[1] // 2, -1]].movedim(1, 0).float()
    return nn.functional.adaptive_avg_pool2d(frames, GRID).flatten()


def mean_pairwise_distance(clips: Sequence[Tensor]) -> float:
    """Return the root mean square difference of clips [3, T, H, W] in 0..1, over all pairs."""
    distances = _distances(clips, clips)
    above = torch.triu_indices(len(clips), len(clips), 1)
    return float(distances[above[0], above[1]].mean())


def nearest_distances(clips: Sequence[Tensor], trained: Sequence[Tensor]) -> Tensor:
    """Return the root mean square difference [N] of each clip from the nearest of ``trained``."""
    return _distances(clips, trained).amin(1)


def _distances(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    first, second = (torch.stack([reduce_clip(clip) for clip in clips]) for clips in (a, b))
    distances: Tensor = torch.cdist(first, second) / first.shape[1] ** 0.5
    return distances
