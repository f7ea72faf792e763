"""Places that people built, each painted over a finished sky: first the distance, then the land."""

from __future__ import annotations

import numpy as np

from layert2v_engine.world.backdrops.canvas import Array, Canvas, linear_color
from layert2v_engine.world.backdrops.scenery import (
    paint_building,
    paint_ground,
    paint_hills,
    paint_tree,
)


def paint_city(c: Canvas) -> None:
    """Paint two rows of buildings, a pavement and a road."""
    walls = (
        linear_color(176, 122, 98),
        linear_color(168, 160, 150),
        linear_color(128, 138, 154),
        linear_color(198, 176, 138),
        linear_color(150, 98, 84),
    )
    for row, (low, high, haze) in enumerate(((0.10, 0.26, 0.35), (0.22, 0.42, 0.0))):
        if row == 1:
            c.begin_land()
        x = -c.rng.uniform(0, 0.2)
        while x < c.span:
            width = float(c.rng.uniform(0.19, 0.34))
            wall = walls[int(c.rng.integers(len(walls)))] * (1 - haze) + haze * c.haze
            top = float(c.rng.uniform(low, high))
            paint_building(c, max(0.0, x), x + width, top, 0.645, wall, c.light.lamps)
            x += width + (0.03 if row == 0 else float(c.rng.choice([0.008, 0.10])))
    paint_ground(c, 0.64, linear_color(176, 172, 166), contrast=0.12, haze=0.0)
    paint_ground(c, 0.725, linear_color(92, 94, 100), contrast=0.2, haze=0.0)
    c.paint(c.mask_below(0.715) * (1 - c.mask_below(0.73)), linear_color(214, 210, 200) * c.lit)
    dash = (
        (np.abs((c.x / 0.34) % 1 - 0.5) < 0.27).astype(np.float32)
        * c.mask_below(0.945)
        * (1 - c.mask_below(0.968))
    )
    c.paint(dash, linear_color(240, 226, 150) * c.lit)


def _paint_cottage(
    c: Canvas, cx: float, foot: float, size: float, wall: Array, roof: Array
) -> None:
    """Paint a cottage seen from the front: wall, steep roof, door and two windows."""
    half, eaves, peak = size * 0.5, foot - size * 0.46, foot - size * 0.95
    window = c.stamp(cx, peak - 0.02, half * 1.3, foot)
    px, y = c.x[:, window[1]] - cx, c.y[window[0]]
    tone = 1.0 + 0.15 * np.clip(px / half * (1 if c.sun > cx else -1), -1, 1)[..., None]

    def slab(x0: float, x1: float, y0: float, y1: float, color: Array) -> None:
        inside = np.minimum(np.minimum(px - x0, x1 - px), np.minimum(y - y0, y1 - y))
        c.fill(window, c.soft(inside), color)

    slab(0.28 * half, 0.52 * half, peak + 0.02, eaves, linear_color(132, 92, 80) * c.lit)
    slab(-half, half, eaves - 0.01, foot, wall * c.lit * tone)
    rise = (y - peak) / (eaves - peak)
    inside = np.minimum(1.18 * half * rise - np.abs(px), eaves + 0.012 - y)
    c.fill(window, c.soft(np.minimum(inside, y - peak)), roof * c.lit * tone)
    slab(-0.16 * half, 0.16 * half, foot - 0.27 * size, foot, linear_color(98, 62, 40) * c.lit)
    lamp = linear_color(255, 214, 120) * 0.9 if c.rng.random() < c.light.lamps * 1.4 else None
    glass = linear_color(110, 150, 180) * c.lit if lamp is None else lamp
    for x in (-0.62, 0.62):
        slab(x * half - 0.17 * half, x * half + 0.17 * half, foot - 0.34 * size,
             foot - 0.16 * size, glass)  # fmt: skip


def paint_village(c: Canvas) -> None:
    """Paint cottages with steep roofs among trees, a fence, a path."""
    paint_hills(c, 0.48, 0.14, linear_color(110, 160, 96), cells=1.0, haze=0.3)
    c.begin_land()
    paint_ground(c, 0.56, linear_color(122, 176, 84), cells=9, contrast=0.4, haze=0.05)
    walls = (linear_color(244, 232, 206), linear_color(250, 246, 238), linear_color(226, 190, 150))
    roofs = (linear_color(188, 72, 52), linear_color(150, 84, 60), linear_color(120, 74, 66))
    x = -float(c.rng.uniform(0, 0.1))
    while x < c.span:
        size = float(c.rng.uniform(0.36, 0.46))
        if c.rng.random() < 0.7:
            wall, roof = walls[int(c.rng.integers(3))], roofs[int(c.rng.integers(3))]
            _paint_cottage(c, x + size / 2, 0.645, size, wall, roof)
            x += size * 1.2
        else:
            paint_tree(
                c, x + 0.08, 0.65, float(c.rng.uniform(0.30, 0.40)), 0.0, linear_color(70, 132, 58)
            )
            x += 0.18
    fence = linear_color(240, 234, 220) * c.lit
    posts = (
        (np.abs((c.x / 0.05) % 1 - 0.5) < 0.16) * c.mask_below(0.655) * (1 - c.mask_below(0.715))
    )
    rails = c.mask_below(0.667) * (1 - c.mask_below(0.677)) + c.mask_below(0.692) * (
        1 - c.mask_below(0.702)
    )
    c.paint(np.clip(posts + rails, 0, 1), fence)
    path = linear_color(206, 178, 130)
    paint_ground(c, 0.75 - 0.01 * c.skyline(2, 2), path, cells=7, contrast=0.25, haze=0.0)
    paint_ground(
        c,
        0.95 - 0.01 * c.skyline(2, 2),
        linear_color(116, 170, 80),
        cells=9,
        contrast=0.4,
        haze=0.0,
    )


def _paint_barn(c: Canvas, cx: float, foot: float, size: float) -> None:
    """Paint a red barn with white trim and a crossed door, a silo beside it."""
    red, trim = linear_color(176, 40, 34) * c.lit, linear_color(246, 242, 234) * c.lit
    half, eaves, peak = size * 0.5, foot - size * 0.52, foot - size * 0.95
    window = c.stamp(cx, peak - 0.05, half * 1.9, foot)
    px, y = c.x[:, window[1]] - cx, c.y[window[0]]
    silo = np.minimum(0.2 * half - np.abs(px - 1.42 * half), y - (peak + 0.05))
    dome = 0.2 * half - np.hypot(px - 1.42 * half, y - (peak + 0.05))
    tone = (0.95 + 0.3 * np.clip((px - 1.42 * half) / (0.3 * half), -1, 1))[..., None]
    c.fill(window, c.soft(np.minimum(silo, foot - y)), linear_color(196, 200, 204) * c.lit * tone)
    c.fill(window, c.soft(dome), linear_color(140, 148, 156) * c.lit * tone)
    knee = eaves - 0.62 * (eaves - peak)
    slope = np.where(
        y < knee,
        0.62 * half * np.clip((y - peak) / (knee - peak), 0, 1),
        0.62 * half + 0.43 * half * np.clip((y - knee) / (eaves - knee), 0, 1),
    )
    roof = np.minimum(slope - np.abs(px), np.minimum(y - peak, foot - y))
    c.fill(window, c.soft(roof + 0.018) * (y < eaves + 0.01), linear_color(92, 88, 92) * c.lit)
    wall = np.minimum(np.minimum(slope, half) - np.abs(px) - 0.006, foot - y)
    planks = (0.94 + 0.10 * (np.sin(px * 150) > 0.6))[..., None]
    c.fill(window, c.soft(wall), red * planks)
    door = np.minimum(0.34 * half - np.abs(px), y - (foot - 0.36 * size))
    u, v = px / (0.34 * half), (y - foot + 0.18 * size) / (0.18 * size)
    cross = np.minimum(np.abs(u - v), np.abs(u + v))
    c.fill(window, c.soft(door + 0.012) * (y < foot), trim)
    c.fill(window, c.soft(door) * (cross > 0.22) * (y < foot), red)
    loft = 0.11 * size - np.hypot(px, (y - (eaves - 0.10 * size)))
    glow = linear_color(255, 214, 120) * 0.9 if c.rng.random() < c.light.lamps else trim
    c.fill(window, c.soft(loft), trim)
    c.fill(window, c.soft(loft - 0.012), glow if c.light.lamps > 0.1 else red * 0.5)


def paint_farm(c: Canvas) -> None:
    """Paint a red barn with a silo, golden fields in rows, a rail fence."""
    paint_hills(c, 0.48, 0.10, linear_color(120, 166, 96), cells=1.0, haze=0.3)
    c.begin_land()
    paint_ground(c, 0.50, linear_color(214, 186, 86), cells=9, contrast=0.25, haze=0.1)
    rows = (np.sin((c.x - c.span / 2) / (c.y - 0.44 + 0.02) * 9) > 0.3) * c.mask_below(0.505)
    c.paint(rows * 0.35 * (1 - c.light.snow_cover), linear_color(150, 122, 52) * c.lit)
    centre = c.span * (0.5 + c.rng.uniform(-0.13, 0.13))
    for side in (-0.30, 0.34):
        x = centre + c.span * side + c.rng.uniform(-0.05, 0.05)
        paint_tree(c, x, 0.61, c.rng.uniform(0.28, 0.38), 0.0, linear_color(76, 134, 58))
    _paint_barn(c, centre, 0.635, float(c.rng.uniform(0.48, 0.56)))
    paint_ground(c, 0.63, linear_color(128, 172, 78), cells=9, contrast=0.4, haze=0.0)
    wood = linear_color(166, 128, 88) * c.lit
    posts = (np.abs((c.x / 0.17) % 1 - 0.5) < 0.05) * c.mask_below(0.625) * (1 - c.mask_below(0.71))
    rails = c.mask_below(0.640) * (1 - c.mask_below(0.652)) + c.mask_below(0.672) * (
        1 - c.mask_below(0.684)
    )
    c.paint(np.clip(posts + rails, 0, 1), wood)
