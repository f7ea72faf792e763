"""Whether a model draws something of its own: seeds against each other, clips against the clips it
was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

GRID = (20, 28)  # rows and columns a picture is reduced to before pictures are compared


def sketch(clip: Tensor) -> Tensor:
    """First, middle and last frame of a clip [3, T, H, W], reduced to `GRID` and flattened."""
    frames = clip[:, [0, clip.shape[1] // 2, -1]].movedim(1, 0).float()
    return nn.functional.adaptive_avg_pool2d(frames, GRID).flatten()


def spread(clips: Sequence[Tensor]) -> float:
    """Root mean square difference of clips [3, T, H, W] of one prompt, over all pairs."""
    distances = _distances(clips, clips)
    above = torch.triu_indices(len(clips), len(clips), 1)
    return float(distances[above[0], above[1]].mean())


def nearest(clips: Sequence[Tensor], trained: Sequence[Tensor]) -> Tensor:
    """Root mean square difference [N] of each clip from the one of `trained` most like it."""
    return _distances(clips, trained).amin(1)


def _distances(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    first, second = (torch.stack([sketch(clip) for clip in clips]) for clips in (a, b))
    distances: Tensor = torch.cdist(first, second) / first.shape[1] ** 0.5
    return distances
