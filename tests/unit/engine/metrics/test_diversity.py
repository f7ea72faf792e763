"""Distances between clips."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.metrics.diversity import mean_pairwise_distance, nearest_distances

HEIGHT, WIDTH, FRAMES = 48, 64, 3


def textured_clip(shift: int) -> Tensor:  # [3, T, H, W], moved by ``shift`` pixels a frame
    rng = np.random.default_rng(0)
    rough = torch.from_numpy(rng.random((1, 3, 12, 32)).astype(np.float32))
    wide = torch.nn.functional.interpolate(rough, (HEIGHT, 2 * WIDTH), mode="bicubic")[0]
    wide = wide.clamp(0, 1)
    return torch.stack([wide[:, :, k * shift : k * shift + WIDTH] for k in range(FRAMES)], 1)


def test_a_copy_is_found_among_trained_clips() -> None:
    own, other = textured_clip(1), textured_clip(3)
    assert float(nearest_distances([own], [other, own])) < 1e-3
    assert mean_pairwise_distance([own, own]) < 1e-3 < mean_pairwise_distance([own, other])
