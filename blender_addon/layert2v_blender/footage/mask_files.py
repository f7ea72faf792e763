"""A mask data-block as images: white inside, one file for each frame, anti-aliased.

Feather is not followed: the matte of a subject is found around the outline.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

SAMPLES = 4  # for each side of a pixel
_STEPS = 16  # of each piece of a curve

Points = NDArray[np.float64]


def write_mask(
    mask: bpy.types.Mask, folder: Path, frames: dict[int, int], size: tuple[int, int]
) -> list[str]:
    """Write ``matte.NUMBER.png`` for each number of ``frames``, at its frame of the scene."""
    scene = bpy.context.scene
    before = scene.frame_current
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    try:
        for number, frame in frames.items():
            scene.frame_set(frame)
            path = folder / f"matte.{number:06d}.png"
            _save(rasterize(outlines(mask, size), size), path)
            paths.append(str(path))
    finally:
        scene.frame_set(before)
    return paths


def outlines(mask: bpy.types.Mask, size: tuple[int, int]) -> list[Points]:
    """Return the closed splines of the visible layers in pixels, ``[N, 2]``, y down."""
    width, height = size
    found = []
    for layer in mask.layers:
        if layer.hide_render:
            continue
        for spline in layer.splines:
            points = np.array([*_curve(spline)], np.float64)
            if len(points) < 3:
                continue
            # Masks are square: the shorter side of a picture is in the middle of 0..1.
            longest = max(width, height)
            x = (points[:, 0] - 0.5) * longest + width / 2
            y = (0.5 - points[:, 1]) * longest + height / 2
            found.append(np.stack((x, y), -1))
    return found


def rasterize(polygons: list[Points], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the coverage ``[H, W]`` in 0..1 of the area that any of the polygons covers."""
    width, height = size
    covered = np.zeros((height * SAMPLES, width * SAMPLES), bool)
    rows = (np.arange(height * SAMPLES) + 0.5) / SAMPLES
    for polygon in polygons:
        inside = np.zeros_like(covered)
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
            crossed = np.flatnonzero((rows >= min(y0, y1)) & (rows < max(y0, y1)))
            for row in crossed:
                x = x0 + (rows[row] - y0) / (y1 - y0) * (x1 - x0)
                start = int(np.clip(np.ceil(x * SAMPLES - 0.5), 0, width * SAMPLES))
                inside[row, start:] ^= True
        covered |= inside
    blocks = covered.reshape(height, SAMPLES, width, SAMPLES)
    return blocks.mean((1, 3)).astype(np.float32)


def _curve(spline: Any) -> Iterator[tuple[float, float]]:
    points = [*spline.points]
    if spline.use_cyclic or len(points) > 2:  # an open line is closed: a matte has an inside
        points.append(points[0])
    for a, b in pairwise(points):
        corners = np.array([a.co, a.handle_right, b.handle_left, b.co], np.float64)
        for t in np.arange(_STEPS) / _STEPS:
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            x, y = np.dot(weights, corners)
            yield float(x), float(y)


def _save(coverage: NDArray[np.float32], path: Path) -> None:
    height, width = coverage.shape
    image = bpy.data.images.new("layert2v matte", width, height, is_data=True)
    try:
        pixels = np.repeat(coverage[::-1, :, None], 4, 2)
        pixels[..., 3] = 1.0
        image.pixels.foreach_set(np.ascontiguousarray(pixels).ravel())
        image.file_format = "PNG"
        image.filepath_raw = str(path)
        image.save()
    finally:
        bpy.data.images.remove(image)
