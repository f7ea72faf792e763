"""The moving disc as a layered sample whose layers are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fakes.moving_disc import disc_clip
from layert2v_engine.image.srgb import encode_srgb
from layert2v_engine.vidlayer.readers.sample import (
    LayeredSample,
    LayerFiles,
    SampleFiles,
    SampleLayer,
)

FILES = SampleFiles(
    name="disc",
    full=Path("full"),
    background=Path("bg"),
    foregrounds=(LayerFiles(matte=Path("matte")),),
)


def good_sample(seed: int = 0) -> LayeredSample:
    """Return a red disc that crosses a wall to the right, with its shadow."""
    clip = disc_clip(seed=seed)

    def display(linear: np.ndarray) -> Tensor:
        return encode_srgb(torch.from_numpy(linear).movedim(-1, 1).clamp(0, 1))

    planes = [torch.from_numpy(each)[:, None] for each in (clip.alpha, clip.shadow)]
    rows = torch.arange(clip.source.shape[1]).float()[:, None].expand(clip.source.shape[1:3])
    columns = torch.arange(clip.source.shape[2]).float().expand(clip.source.shape[1:3])
    color = torch.stack([0.8 + 0 * rows, 0.1 + 0.005 * rows, 0.1 + 0.002 * columns])
    layer = SampleLayer(
        color=encode_srgb(color).expand(len(clip.source), -1, -1, -1),
        matte=planes[0],
        shadow=planes[1],
    )
    return LayeredSample(
        files=FILES,
        full=display(clip.source),
        background=display(clip.background),
        foregrounds=(layer,),
    )
