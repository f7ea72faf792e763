"""A mask data-block as images: white inside, one file for each frame, anti-aliased.

Feather is not followed: the matte of a subject is found around the outline.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import bpy

SAMPLES = 4  # lines of a row of pixels; along a line coverage is exact
_STEPS = 16  # of each piece of a curve

Polygon = list[tuple[float, float]]


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
            path.write_bytes(_png(rasterize(outlines(mask, size), size), size))
            paths.append(str(path))
    finally:
        scene.frame_set(before)
    return paths


def outlines(mask: bpy.types.Mask, size: tuple[int, int]) -> list[Polygon]:
    """Return the closed splines of the visible layers in pixels, y down."""
    width, height = size
    longest = max(size)  # masks are square: the shorter side is in the middle of 0..1
    found = []
    for layer in mask.layers:
        for spline in () if layer.hide_render else layer.splines:
            points = [
                ((x - 0.5) * longest + width / 2, (0.5 - y) * longest + height / 2)
                for x, y in _curve(spline)
            ]
            if len(points) > 2:
                found.append(points)
    return found


def rasterize(polygons: list[Polygon], size: tuple[int, int]) -> list[bytes]:
    """Return rows of 8 bits a pixel: how much of each any of the polygons covers."""
    width, height = size
    rows = []
    for row in range(height):
        covered, change = [0.0] * width, [0.0] * (width + 1)
        for sample in range(SAMPLES):
            for left, right in _spans(polygons, row + (sample + 0.5) / SAMPLES):
                _cover(covered, change, max(left, 0.0), min(right, float(width)))
        inside, values = 0.0, bytearray(width)
        for x in range(width):
            inside += change[x]
            values[x] = round(min((covered[x] + inside) / SAMPLES, 1.0) * 255)
        rows.append(bytes(values))
    return rows


def _spans(polygons: list[Polygon], y: float) -> Iterator[tuple[float, float]]:
    """Yield the parts of a line that are inside, from left to right, none over another."""
    spans: list[tuple[float, float]] = []
    for polygon in polygons:
        crossed = sorted(
            x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            for (x0, y0), (x1, y1) in pairwise((*polygon, polygon[0]))
            if min(y0, y1) <= y < max(y0, y1)
        )
        spans += zip(crossed[::2], crossed[1::2], strict=True)
    reached = float("-inf")
    for left, right in sorted(spans):
        if right > reached:
            yield max(left, reached), right
            reached = right


def _cover(covered: list[float], change: list[float], left: float, right: float) -> None:
    """Add a span: parts of pixels to ``covered``, whole ones as steps to ``change``."""
    if right <= left:
        return
    first, last = int(left), int(right)
    if first == last:
        covered[first] += right - left
        return
    covered[first] += first + 1 - left
    change[first + 1] += 1
    change[last] -= 1
    if last < len(covered):
        covered[last] += right - last


def _curve(spline: Any) -> Iterator[tuple[float, float]]:
    points = [*spline.points]
    points += points[:1]  # an open line is closed: a matte has an inside
    for a, b in pairwise(points):
        corners = (a.co, a.handle_right, b.handle_left, b.co)
        for step in range(_STEPS):
            t = step / _STEPS
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            yield (
                sum(weight * corner[0] for weight, corner in zip(weights, corners, strict=True)),
                sum(weight * corner[1] for weight, corner in zip(weights, corners, strict=True)),
            )


def _png(rows: list[bytes], size: tuple[int, int]) -> bytes:
    header = struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0)  # 8 bits of gray
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
