"""Cameras: how a shot moves over the land, and how layers of pixels are seen by it.

The camera looks at an upright land plane on which all subjects stand; the distance behind it moves
and grows less. Whatever is sampled with the same depth moves together, so feet stay on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LAND, DISTANCE = 1.0, 0.35  # how much of the camera's move a plane shows
HORIZON = 0.46  # of the height: what a push moves towards
_PUSHED = 1.12  # how much larger the land is at the end of a push


@dataclass(frozen=True, kw_only=True)
class CameraPath:
    """Per frame: how far right of its middle the camera is (pixels of land), and its zoom."""

    offset: Tensor  # [T]
    zoom: Tensor  # [T]
    width: int
    height: int

    def at_depth(self, depth: float) -> tuple[Tensor, Tensor]:
        """Return offset (pixels) and zoom [T] of a plane of a depth in 0..1."""
        return self.offset * depth, 1 + (self.zoom - 1) * depth

    def project(self, x: Tensor, y: float) -> tuple[Tensor, Tensor]:
        """Return where points of the land are seen, [T] pixels each.

        Their column [T] is that for a camera in its middle.
        """
        middle, horizon = self.width / 2, HORIZON * self.height
        return (x - self.offset - middle) * self.zoom + middle, (y - horizon) * self.zoom + horizon


def camera_path(camera: str, *, frames: int, speed: float, width: int, height: int) -> CameraPath:
    """Return the path of a camera by name that follows at ``speed`` pixels a frame, if it moves."""
    t = torch.arange(frames, dtype=torch.float32) - (frames - 1) / 2
    zoom = torch.ones(frames)
    if camera == "push":
        zoom = torch.linspace(1, _PUSHED, frames) if frames > 1 else zoom
    return CameraPath(
        offset=t * (0.0 if camera == "still" else speed), zoom=zoom, width=width, height=height
    )


def sample_windows(
    pixels: Tensor,
    x: Tensor,
    y: Tensor,
    step: Tensor,
    size: tuple[int, int],
    *,
    extent: tuple[int, int],
) -> Tensor:
    """Return windows [T, C, height, width] of pictures [T, C, h, w], or of one [C, h, w].

    A picture is ``extent`` (width, height) units large, however many pixels it has. The window's
    upper left corner lies at (x, y) [T], and a pixel of the window is ``step`` [T] wide; outside of
    the picture there is nothing. ``size`` is (width, height) in pixels.
    """
    width, height = size
    columns = x[:, None] + (torch.arange(width) + 0.5) * step[:, None]
    rows = y[:, None] + (torch.arange(height) + 0.5) * step[:, None]
    grid = torch.stack(
        [
            (2 * columns / extent[0] - 1)[:, None, :].expand(-1, height, -1),
            (2 * rows / extent[1] - 1)[:, :, None].expand(-1, -1, width),
        ],
        -1,
    )
    source = pixels.expand(len(x), *pixels.shape[-3:])
    return functional.grid_sample(source, grid, mode="bilinear", align_corners=False)
