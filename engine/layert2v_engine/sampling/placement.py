"""Foregrounds put where the artist wants them, by noise alone: no training, no mask.

A matte is drawn from noise whose mean is moved towards the latents of a matte of that region. At
the first steps a network takes its layout from the lowest frequencies of what it sees, and the
other streams of the scene follow the matte. Source of the idea: Wan-Alpha (arXiv 2509.24979).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from layert2v.placement import Placement
from layert2v_engine.layout import StreamLayout, StreamRole

# Share of the difference between a matte of the region and an empty one that noise is moved by at
# strength 1 (scripts/bench/placement.py).
SHIFT = 0.5


def draw_region(placement: Placement, height: int, width: int) -> Tensor:
    """Return a matte [H, W] in 0..1 of a placement's region; 1 inside, with an edge of a pixel."""
    rows = (torch.arange(height) + 0.5)[:, None]
    columns = (torch.arange(width) + 0.5)[None]
    half_w, half_h = placement.width * width / 2, placement.height * height / 2
    x = (columns - placement.x * width - half_w).abs()
    y = (rows - placement.y * height - half_h).abs()
    if placement.shape == "box":
        inside = torch.minimum(half_w - x, half_h - y)
    else:
        radius = ((x / half_w).square() + (y / half_h).square()).sqrt()
        inside = (1 - radius) * min(half_w, half_h)
    return (inside + 0.5).clamp(0, 1)


class PlacedRequest(Protocol):
    """What is known of a run: its streams, size in frames and pixels, and regions."""

    @property
    def layout(self) -> StreamLayout: ...
    @property
    def frames(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def placements(self) -> tuple[Placement, ...]: ...


def placement_shift(
    request: PlacedRequest,
    shape: Sequence[int],
    encode: Callable[[Tensor, StreamLayout, str], Tensor],
) -> Tensor:
    """Return what is added to noise so that foregrounds are where they are wanted.

    It is [1, S, *shape], 0 but for mattes that have a region, or one number where none has. A
    region for a foreground that is not there counts for nothing.

    shape: of the latents of a stream, [C, F, h, w]. encode: returns the normalized latents of an
        opacity [T, 1, H, W] in 0..1 as a stream of a layout.
    """
    layout, size = request.layout, (request.frames, 1, request.height, request.width)
    if not request.placements:
        return torch.zeros(())
    shift = torch.zeros(1, len(layout), *shape)
    for placement in request.placements:
        name = f"{StreamRole.matte}_{placement.foreground:02d}"
        if name in layout.names and placement.strength:
            region = draw_region(placement, request.height, request.width)
            clips = region.expand(size), torch.zeros(size)
            wanted, empty = (encode(clip, layout, name).cpu() for clip in clips)
            shift[0, layout.index(name)] = SHIFT * placement.strength * (wanted - empty)
    return shift
