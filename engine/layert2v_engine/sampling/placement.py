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
from layert2v_engine.layout import Figure, StreamLayout, StreamRole
from layert2v_engine.model.layout_prior import STRENGTH, LayoutPrior

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
    """What is known of a run: its streams, size in frames and pixels, subjects and regions."""

    @property
    def layout(self) -> StreamLayout: ...
    @property
    def frames(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def plan(self) -> PlannedFigures: ...
    @property
    def placements(self) -> tuple[Placement, ...]: ...


class PlannedFigures(Protocol):
    """What is known of the subjects."""

    @property
    def figures(self) -> tuple[Figure, ...]: ...


def placement_shift(
    request: PlacedRequest,
    shape: Sequence[int],
    encode: Callable[[Tensor, StreamLayout, str], Tensor],
    prior: LayoutPrior | None = None,
) -> Tensor:
    """Return what is added to noise so that foregrounds are where they are wanted.

    It is [1, S, *shape], 0 but for mattes that have a region or that ``prior`` knows, or one number
    where there is none. A region for a foreground that is not there counts for nothing.

    shape: of the latents of a stream, [C, F, h, w]. encode: returns the normalized latents of an
        opacity [T, 1, H, W] in 0..1 as a stream of a layout.
    """
    layout, size = request.layout, (request.frames, 1, request.height, request.width)
    regions = _regions(request, prior)
    if not regions:
        return torch.zeros(())
    shift = torch.zeros(1, len(layout), *shape)
    for foreground, (region, strength) in regions.items():
        name = f"{StreamRole.matte}_{foreground:02d}"
        if name in layout.names:
            clips = region.expand(size), torch.zeros(size)
            wanted, empty = (encode(clip, layout, name).cpu() for clip in clips)
            shift[0, layout.index(name)] = strength * (wanted - empty)
    return shift


def _regions(request: PlacedRequest, prior: LayoutPrior | None) -> dict[int, tuple[Tensor, float]]:
    """Return mattes [H, W] of regions by foreground, with how far noise is moved towards each.

    What the artist wants goes before where a subject usually is; a known one keeps its outline.
    """
    figures, height, width = request.plan.figures, request.height, request.width
    regions = dict[int, tuple[Tensor, float]]()
    if prior is not None:
        for number, figure in enumerate(figures, 1):
            usual = prior.matte(figure, len(figures), height, width)
            if usual is not None:
                regions[number] = (usual, STRENGTH)
    for placement in request.placements:
        if not placement.strength:
            continue
        region, number = draw_region(placement, height, width), placement.foreground
        if number in regions and prior is not None:
            region = _fit_outline(prior, figures[number - 1], len(figures), placement, region)
        regions[number] = (region, SHIFT * placement.strength)
    return regions


def _fit_outline(
    prior: LayoutPrior, figure: Figure, count: int, placement: Placement, region: Tensor
) -> Tensor:
    """Return the outline of a subject within the box of its region [H, W], where that is seen."""
    height, width = region.shape
    top, left = round(placement.y * height), round(placement.x * width)
    rows, columns = round(placement.height * height), round(placement.width * width)
    outline = prior.outline(figure, count, max(1, rows), max(1, columns))
    if outline is None:
        return region
    fitted = torch.zeros_like(region)
    first_row, first_column = max(0, top), max(0, left)
    part = outline[first_row - top : height - top, first_column - left : width - left]
    fitted[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]] = (
        part
    )
    return fitted
