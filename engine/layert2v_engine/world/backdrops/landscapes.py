"""Natural places, each painted over a finished sky: first the distance, then the land.

Knows landscapes only; ``scenery`` knows what they are made of.
"""

from __future__ import annotations

import numpy as np

from layert2v_engine.world.backdrops.canvas import Canvas, linear_color
from layert2v_engine.world.backdrops.scenery import (
    HORIZON,
    paint_cactus,
    paint_ground,
    paint_hills,
    paint_palm,
    paint_pine,
    paint_tree,
    scatter_trees,
)


def paint_forest(c: Canvas) -> None:
    """Paint round trees over a mossy ground."""
    c.paint(
        c.mask_below(0.24 - 0.08 * c.skyline(9, 3)),
        linear_color(66, 104, 62) * c.lit * 0.7 + c.haze * 0.18,
    )
    c.begin_land()
    paint_ground(c, 0.55, linear_color(112, 128, 66), contrast=0.7, haze=0.1)
    leaves = (linear_color(74, 128, 52), linear_color(96, 146, 54), linear_color(56, 108, 56))
    for cx, base, height, haze in scatter_trees(c, 26, 0.64, 0.54, 0.56):
        paint_tree(c, cx, base, height, haze * 0.7, leaves[int(c.rng.integers(3))])


def paint_snowy_forest(c: Canvas) -> None:
    """Paint snowy pines over snow."""
    c.paint(
        c.mask_below(0.36 - 0.06 * c.skyline(9, 3)),
        linear_color(120, 146, 160) * c.lit * 0.8 + c.haze * 0.15,
    )
    c.begin_land()
    paint_ground(
        c, 0.54 - 0.02 * c.skyline(3, 2), linear_color(240, 244, 250), contrast=0.22, haze=0.1
    )
    for cx, base, height, haze in scatter_trees(c, 30, 0.63, 0.54, 0.56):
        paint_pine(c, cx, base, height, haze, snow=True)


def paint_desert(c: Canvas) -> None:
    """Paint dunes with a few cacti."""
    sand = linear_color(232, 186, 112)
    paint_hills(c, 0.50, 0.16, linear_color(206, 142, 88), cells=1.4, haze=0.35)
    c.begin_land()
    for base, rise in ((0.56, 0.12), (0.66, 0.12)):
        line = base - rise * c.skyline(0.9, 2, 0.2)
        slope = np.gradient(line) * c.h * (1 if c.sun > c.span / 2 else -1)
        tone = 0.88 + 0.5 * np.clip(slope, -0.3, 0.3)
        c.paint(c.mask_below(line), sand * c.lit * tone[None, :, None] * 0.92 + c.haze * 0.06)
    paint_ground(c, 0.70 - 0.06 * c.skyline(0.8, 2, 0.2), sand, cells=5, contrast=0.22, haze=0.0)
    for _ in range(int(c.rng.integers(3, 6))):
        paint_cactus(
            c, c.rng.uniform(0, c.span), c.rng.uniform(0.60, 0.70), c.rng.uniform(0.22, 0.36)
        )


def paint_beach(c: Canvas) -> None:
    """Paint the sea, wet sand and two palms."""
    water = linear_color(32, 134, 186) * c.lit * 0.85 + c.haze * 0.12
    waves = 0.85 + 0.35 * c.noise(14, 3, stretch=7)
    c.paint(c.mask_below(HORIZON - 0.02), water * waves[..., None])
    if any(c.light.disc):
        glitter = (
            np.exp(-(((c.x - c.sun) / 0.12) ** 2))
            * (c.noise(40, 1, stretch=5) > 0.62)
            * (c.y < 0.63)
        )
        c.paint(
            glitter.astype(np.float32) * c.mask_below(HORIZON) * 0.6,
            np.array(c.light.disc, np.float32) * 0.9,
        )
    c.begin_land()
    shore = 0.635 - 0.02 * c.skyline(2.5, 2)
    c.paint(c.mask_below(shore - 0.022), linear_color(240, 248, 250) * c.lit)
    paint_ground(c, shore, linear_color(240, 216, 164), contrast=0.2, haze=0.0)
    wet = np.clip(1 - np.abs(c.y - shore - 0.02) / 0.03, 0, 1) * 0.45
    c.paint(wet, linear_color(196, 166, 118) * c.lit)
    for side in (0.12, 0.88):
        paint_palm(
            c,
            c.span * (side + c.rng.uniform(-0.08, 0.08)),
            c.rng.uniform(0.70, 0.74),
            c.rng.uniform(0.44, 0.54),
        )


def paint_meadow(c: Canvas) -> None:
    """Paint green hills, a few trees and a meadow with blossoms."""
    paint_hills(c, 0.50, 0.16, linear_color(112, 158, 92), cells=0.9, haze=0.3)
    paint_hills(c, 0.58, 0.12, linear_color(112, 172, 70), cells=1.1, haze=0.08)
    c.begin_land()
    for _ in range(int(c.rng.integers(2, 5))):
        paint_tree(
            c,
            c.rng.uniform(0, c.span),
            c.rng.uniform(0.52, 0.56),
            c.rng.uniform(0.14, 0.20),
            0.12,
            linear_color(72, 130, 54),
        )
    paint_ground(c, 0.58, linear_color(116, 180, 62), cells=10, contrast=0.5, haze=0.05)
    blossoms = (linear_color(252, 250, 244), linear_color(250, 214, 50), linear_color(236, 92, 120))
    for _ in range(0 if c.light.snow_cover else 130):
        depth = c.rng.random() ** 0.7
        y, x, r = 0.62 + 0.37 * depth, c.rng.uniform(0, c.span), 0.005 + 0.008 * depth
        window = c.stamp(x, y - r * 1.5, r * 1.5, y + r * 1.5)
        mask = c.soft(r - np.hypot(c.x[:, window[1]] - x, c.y[window[0]] - y))
        c.fill(window, mask, blossoms[int(c.rng.integers(3))] * c.lit)
