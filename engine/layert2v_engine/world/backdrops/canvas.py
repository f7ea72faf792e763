"""A linear-light picture to paint on: noise, soft masks, local stamps. Knows no places."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from layert2v_engine.image.srgb import decode_srgb_array
from layert2v_engine.world.backdrops.light import Light

Array = NDArray[np.floating[Any]]
Generator = np.random.Generator


def linear_color(r: float, g: float, b: float) -> Array:
    """Return a display-referred 0..255 color in linear light, [3]."""
    return decode_srgb_array(np.array([r, g, b], np.float32) / 255)


class Canvas:
    """A linear-light picture with soft-edged painting; lengths are shares of the height."""

    def __init__(self, width: int, height: int, light: Light, sun: float, rng: Generator) -> None:
        self.w, self.h, self.light, self.sun, self.rng = width, height, light, sun, rng
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.cover = np.zeros((height, width), np.float32)  # of the land
        self.distance = self.rgb
        self.y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        self.x = ((np.arange(width, dtype=np.float32) + 0.5) / height)[None]
        self.span = width / height
        self.haze = linear_color(*light.low)
        self.lit = np.array(light.ground, np.float32)

    def noise(self, cells: float, octaves: int, stretch: float = 1.0) -> Array:
        """Return smooth noise [H, W] in 0..1.

        There are ``cells`` of it per height; it is wider than high when ``stretch`` > 1.
        """
        out, total = np.zeros((self.h, self.w), np.float32), 0.0
        for octave in range(octaves):
            n = cells * 2**octave
            rows, columns = max(2, round(n)) + 1, max(2, round(n * self.span / stretch)) + 1
            lattice = torch.from_numpy(self.rng.random((1, 1, rows, columns), np.float32))
            size = (self.h, self.w)
            out += (
                functional.interpolate(lattice, size, mode="bicubic", align_corners=True)[
                    0, 0
                ].numpy()
                * 0.5**octave
            )
            total += 0.5**octave
        return np.clip(out / total, 0, 1)

    def skyline(self, cells: float, octaves: int = 3, rough: float = 0.5) -> Array:
        """Return a line of heights in 0..1 over the columns, [W]."""
        out, total = np.zeros(self.w, np.float32), 0.0
        for octave in range(octaves):
            n = max(2, round(cells * self.span * 2**octave)) + 2
            knots = self.rng.random(n)
            t = np.linspace(0, n - 1.001, self.w)
            i, f = t.astype(int), t % 1
            f = f * f * (3 - 2 * f)
            out += (knots[i] * (1 - f) + knots[i + 1] * f).astype(np.float32) * rough**octave
            total += rough**octave
        return out / total

    def mask_below(self, line: Array | float) -> Array:
        """Return the soft mask [H, W] of everything below a line."""
        return np.clip((self.y - line) * self.h + 0.5, 0, 1) + 0 * self.x

    def soft(self, inside: Array) -> Array:
        """Return a soft mask from a signed distance in shares of the height, positive inside."""
        return np.clip(inside * self.h + 0.5, 0, 1)

    def paint(self, mask: Array, color: Array) -> None:
        """Paint a linear, lit color [3] or [H, W, 3] where the mask [H, W] is set."""
        self.rgb += (color - self.rgb) * mask[..., None]
        self.cover += (1 - self.cover) * mask

    def stamp(self, cx: float, top: float, half: float, bottom: float) -> tuple[slice, slice]:
        """Return rows and columns of a local window."""
        x0, x1 = int(max(0, (cx - half) * self.h)), int(min(self.w, (cx + half) * self.h + 1))
        return slice(max(0, int(top * self.h)), int(min(self.h, bottom * self.h + 1))), slice(
            x0, max(x0, x1)
        )

    def fill(self, window: tuple[slice, slice], mask: Array, color: Array) -> None:
        """Paint a linear, lit color into a local window where its mask is set."""
        area = self.rgb[window]
        area += (color - area) * mask[..., None]
        self.cover[window] += (1 - self.cover[window]) * mask

    def begin_land(self) -> None:
        """Keep what was painted so far as the distance; what follows is the land before it."""
        self.distance, self.cover = self.rgb.copy(), np.zeros_like(self.cover)

    def land(self) -> Array:
        """Return the land's own straight color [H, W, 3]; the picture's where there is none."""
        behind = self.distance * (1 - self.cover[..., None])
        return np.where(
            self.cover[..., None] > 1e-3,
            (self.rgb - behind) / np.maximum(self.cover[..., None], 1e-3),
            self.rgb,
        )
