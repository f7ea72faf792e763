"""Footage with known layers: a textured wall, a disc that crosses it, the disc's shadow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fakes.footage import save_exr

FloatArray = NDArray[np.float32]

WIDTH, HEIGHT, FRAMES = 96, 64, 7
RADIUS = 10.0
GLINT = 12.0  # a value that no display shows


class DiscClip(NamedTuple):
    """All ``[T, H, W, 3]`` or ``[T, H, W]``, scene-linear."""

    source: FloatArray
    background: FloatArray
    alpha: FloatArray
    shadow: FloatArray


def disc_clip(pan: float = 0.0, frames: int = FRAMES, seed: int = 0, waits: int = 0) -> DiscClip:
    """Return a disc that crosses a wall, seen by a camera that moves ``pan`` pixels a frame.

    For so many frames it ``waits`` before the same place of the wall.
    """
    wall = _wall(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    layers: list[tuple[FloatArray, ...]] = []
    for t in range(frames):
        shift = np.array([[1, 0, -20 - pan * t], [0, 1, -10]], np.float32)
        background = cv2.warpAffine(wall, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        speed = (WIDTH - 32) / max(frames - 1 - waits, 1)
        x = 16 - pan * min(t, waits) + speed * max(0, t - waits)
        distance = np.hypot(columns - x, rows - 30)
        alpha = np.clip(RADIUS + 0.5 - distance, 0, 1)
        shade = 0.5 * np.clip(1.5 - np.hypot((columns - x) / 12, (rows - 43) / 4), 0, 1)
        color = np.stack([0.8 + 0 * rows, 0.1 + 0.005 * rows, 0.1 + 0.002 * columns], -1)
        under = background * (1 - shade[..., None])
        source = color * alpha[..., None] + under * (1 - alpha[..., None])
        layers.append((source, background, alpha, shade))
    return DiscClip(*(np.stack(each).astype(np.float32) for each in zip(*layers, strict=True)))


def write_clip(folder: Path, pictures: FloatArray, first: int = 1001, name: str = "shot") -> Path:
    """Write ``[T, H, W, 3]`` or ``[T, H, W]`` as float EXR frames; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        color = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1)
        planes = {channel: color[..., k] for k, channel in enumerate("RGB")}
        save_exr(planes, np.float32)(folder / f"{name}.{first + index}.exr")
    return folder


def _wall(seed: int) -> FloatArray:
    noise = np.random.default_rng(seed).random((HEIGHT + 40, WIDTH + 120, 3), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    wall = 0.15 + 1.2 * (smooth - smooth.min())
    wall[12:16, 30:34] = GLINT
    return np.asarray(wall, np.float32)
