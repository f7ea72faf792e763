"""Wilder natural places, each painted over a finished sky: first the distance, then the land."""

from __future__ import annotations

import numpy as np

from layert2v_engine.world.backdrops.canvas import Array, Canvas, linear_color
from layert2v_engine.world.backdrops.scenery import (
    HORIZON,
    paint_ground,
    paint_hills,
    paint_pine,
    paint_tree,
    paint_trunk,
    scatter_trees,
)


def paint_mountain_lake(c: Canvas) -> None:
    """Paint snow-capped peaks over still water, a grassy shore with pines at the sides."""
    for base, rise, haze, cells in ((0.47, 0.40, 0.42, 1.5), (0.47, 0.24, 0.20, 1.9)):
        line = base - rise * (1 - np.abs(2 * c.skyline(cells, 5, 0.5) - 1)) ** 1.3
        shade = 0.75 + 0.5 * (c.noise(7, 3) - 0.3)
        rock = linear_color(104, 112, 132) * shade[..., None]
        snow_line = base - 0.55 * rise + 0.06 * (c.noise(16, 2) - 0.5)
        high = np.clip((snow_line - c.y) * 40, 0, 1)
        stone = rock * (1 - high[..., None]) + linear_color(240, 244, 252) * high[..., None]
        c.paint(c.mask_below(line), stone * c.lit * (1 - haze) + c.haze * haze)
    water = linear_color(40, 116, 150) * c.lit * 0.8 + c.haze * 0.25
    ripple = 0.82 + 0.36 * c.noise(22, 3, stretch=9)
    c.paint(c.mask_below(HORIZON + 0.005), water * ripple[..., None])
    c.begin_land()
    shore = 0.66 - 0.03 * c.skyline(2, 2)
    c.paint(c.mask_below(shore - 0.016), linear_color(150, 146, 134) * c.lit)
    paint_ground(c, shore, linear_color(104, 150, 76), cells=9, contrast=0.45, haze=0.0)
    for side in (0.06, 0.20, 0.80, 0.94):
        paint_pine(c, c.span * (side + c.rng.uniform(-0.05, 0.05)), c.rng.uniform(0.66, 0.71),
             c.rng.uniform(0.30, 0.44), 0.0, snow=False)  # fmt: skip


def _paint_mesa(c: Canvas, left: float, right: float, top: float, foot: float, haze: float) -> None:
    """Paint a table mountain in colored bands, lighter towards the sun."""
    slope = 0.10 + 0.25 * np.clip((c.y - top) / max(foot - top, 1e-3), 0, 1) ** 2
    edge = 0.012 * (c.noise(18, 2) - 0.5)
    inside = np.minimum(c.x - left + slope * (c.y - top), right - c.x + slope * (c.y - top)) + edge
    mask = c.soft(np.minimum(inside, c.y - top + 0.4 * edge)) * c.soft(foot - c.y)
    bands = 0.5 + 0.5 * np.sin(62 * (c.y + edge) + 2.5 * np.sin(23 * c.y))
    red = (
        linear_color(176, 84, 52)
        + (linear_color(226, 148, 98) - linear_color(176, 84, 52)) * bands[..., None]
    )
    towards = (c.x - (left + right) / 2) / (right - left) * (1.0 if c.sun > left else -1.0)
    tone = (0.9 + 0.4 * np.clip(towards, -0.6, 0.6) + 0.3 * (c.noise(9, 3) - 0.5))[..., None]
    c.paint(mask, red * c.lit * tone * (1 - haze) + c.haze * haze)


def paint_red_canyon(c: Canvas) -> None:
    """Paint banded table mountains over red ground."""
    x = -c.rng.uniform(0, 0.3)
    while x < c.span:
        width = float(c.rng.uniform(0.25, 0.5))
        _paint_mesa(c, x, x + width, float(c.rng.uniform(0.24, 0.36)), 0.56, 0.35)
        x += width + float(c.rng.uniform(0.0, 0.25))
    c.begin_land()
    x = -c.rng.uniform(0, 0.2)
    while x < c.span:
        width = float(c.rng.uniform(0.28, 0.55))
        _paint_mesa(c, x, x + width, float(c.rng.uniform(0.06, 0.30)), 0.63, 0.0)
        x += width + float(c.rng.uniform(0.15, 0.45))
    paint_ground(
        c,
        0.60 - 0.02 * c.skyline(2, 2),
        linear_color(206, 112, 70),
        cells=6,
        contrast=0.4,
        haze=0.05,
    )
    for _ in range(int(c.rng.integers(10, 16))):
        depth = c.rng.random()
        _paint_boulder(c, c.rng.uniform(0, c.span), 0.63 + 0.1 * depth, 0.012 + 0.02 * depth)


def _paint_boulder(c: Canvas, cx: float, base: float, r: float) -> None:
    window = c.stamp(cx, base - r, 1.4 * r, base + 0.4 * r)
    px, py = (c.x[:, window[1]] - cx) / 1.4, c.y[window[0]] - base + 0.2 * r
    tone = (1.0 - 0.5 * py / r + 0.3 * px / r * (1 if c.sun > cx else -1))[..., None]
    c.fill(window, c.soft(0.8 * r - np.hypot(px, py)), linear_color(150, 74, 48) * c.lit * tone)


def paint_moon(c: Canvas) -> None:
    """Paint a black sky with stars and a blue planet, gray dust and craters."""
    c.rgb *= 0.10
    stars = (c.rng.random((c.h, c.w)) > 0.997).astype(np.float32)
    c.paint(np.maximum(stars, np.roll(stars, 1, 1) * 0.7) * 0.85, linear_color(240, 244, 255))
    cx, cy, r = c.span * c.rng.uniform(0.35, 0.65), c.rng.uniform(0.14, 0.22), 0.11
    d = np.hypot(c.x - cx, c.y - cy)
    seas = np.clip((c.noise(9, 3) - 0.52) * 9, 0, 1)[..., None]
    globe = linear_color(44, 108, 208) * (1 - seas) + linear_color(96, 160, 92) * seas
    c.paint(c.soft(r - d), globe * np.clip(1.1 - 2 * (d / r) ** 4 * 0.3, 0.3, 1)[..., None])
    c.begin_land()
    dust = linear_color(176, 176, 182)
    paint_hills(c, 0.50, 0.14, dust * 0.72, cells=1.6, haze=0.0)
    paint_ground(c, 0.52 - 0.02 * c.skyline(2, 2), dust, cells=8, contrast=0.45, haze=0.0)
    for _ in range(15):
        depth = float(c.rng.random())
        _paint_crater(c, c.rng.uniform(0, c.span), 0.56 + 0.42 * depth**0.8, 0.025 + 0.05 * depth)


def _paint_crater(c: Canvas, cx: float, cy: float, r: float) -> None:
    window = c.stamp(cx, cy - 0.5 * r, 1.2 * r, cy + 0.5 * r)
    px, py = (c.x[:, window[1]] - cx) / r, (c.y[window[0]] - cy) / (0.36 * r)
    d, sun = np.hypot(px, py), 1 if c.sun > cx else -1
    c.fill(window, c.soft((1 - d) * 0.3 * r) * 0.8, linear_color(118, 118, 126) * c.lit)
    rim = np.clip(1 - np.abs(d - 0.95) * 5, 0, 1) * np.clip(0.5 - px * sun, 0, 1)
    c.fill(window, rim * 0.8, linear_color(226, 226, 232) * c.lit)


def paint_autumn_forest(c: Canvas) -> None:
    """Paint round trees in yellow, orange and red over fallen leaves."""
    c.paint(
        c.mask_below(0.25 - 0.08 * c.skyline(9, 3)),
        linear_color(150, 92, 50) * c.lit * 0.7 + c.haze * 0.18,
    )
    c.begin_land()
    paint_ground(c, 0.55, linear_color(168, 112, 58), contrast=0.6, haze=0.1)
    leaves = (linear_color(232, 160, 34), linear_color(220, 100, 28), linear_color(188, 48, 30))
    for cx, base, height, haze in scatter_trees(c, 26, 0.64, 0.54, 0.56):
        paint_tree(c, cx, base, height, haze * 0.6, leaves[int(c.rng.integers(3))])
    for _ in range(0 if c.light.snow_cover else 150):
        depth = float(c.rng.random()) ** 0.7
        _paint_leaf(c, c.rng.uniform(0, c.span), 0.60 + 0.39 * depth, 0.005 + 0.009 * depth,
              leaves[int(c.rng.integers(3))])  # fmt: skip


def _paint_leaf(c: Canvas, x: float, y: float, r: float, color: Array) -> None:
    window = c.stamp(x, y - r, 1.8 * r, y + r)
    mask = c.soft(r - np.hypot((c.x[:, window[1]] - x) / 1.7, c.y[window[0]] - y))
    c.fill(window, mask, color * c.lit)


def _paint_acacia(c: Canvas, cx: float, base: float, height: float, haze: float) -> None:
    """Paint a thin forked trunk under flat layers of leaves."""
    paint_trunk(c, cx, base, height * 0.8, height * 0.035, haze)
    leaf = linear_color(104, 124, 52)
    for up, half in ((0.80, 0.62), (0.92, 0.46), (0.70, 0.30)):
        x, y = cx + c.rng.uniform(-0.08, 0.08) * height, base - up * height
        window = c.stamp(x, y - 0.12 * height, half * height, y + 0.06 * height)
        px, py = (c.x[:, window[1]] - x) / (half * height), (c.y[window[0]] - y) / (0.09 * height)
        inside = (1 - np.hypot(px, py)) * 0.09 * height
        tone = (0.95 - 0.35 * np.clip(py, -1, 1))[..., None]
        c.fill(
            window, c.soft(inside) * (py < 0.6), leaf * c.lit * tone * (1 - haze) + c.haze * haze
        )


def paint_savanna(c: Canvas) -> None:
    """Paint tall yellow grass under flat-topped trees, blue hills far away."""
    paint_hills(c, 0.49, 0.08, linear_color(130, 128, 120), cells=1.2, haze=0.5)
    c.begin_land()
    paint_ground(c, 0.49, linear_color(208, 178, 92), cells=9, contrast=0.4, haze=0.35)
    for cx, base, height, haze in scatter_trees(c, 6, 0.62, 0.53, 0.50):
        _paint_acacia(c, cx, base, height, haze)
    for row in range(5):
        y = 0.57 + 0.085 * row
        blades = y - (0.012 + 0.006 * row) * c.skyline(60 - 8 * row, 2, 0.9)
        tone = 0.88 + 0.14 * (row % 2) + 0.3 * (c.noise(12, 2, stretch=3)[..., None] - 0.5)
        yellow = linear_color(214, 182, 88) * (1 - c.light.snow_cover) + 0.8 * c.light.snow_cover
        c.paint(c.mask_below(blades), yellow * c.lit * tone)


def paint_polar_ice(c: Canvas) -> None:
    """Paint icebergs in a dark sea, a flat floe with blue cracks."""
    sea = linear_color(20, 74, 116) * c.lit * 0.85 + c.haze * 0.12
    c.paint(c.mask_below(HORIZON - 0.01), sea * (0.85 + 0.3 * c.noise(16, 3, stretch=8))[..., None])
    c.begin_land()
    x = -float(c.rng.uniform(0, 0.2))
    while x < c.span:
        width = float(c.rng.uniform(0.24, 0.5))
        _paint_iceberg(c, x, width, float(c.rng.uniform(0.16, 0.36)))
        x += width + float(c.rng.uniform(0.05, 0.30))
    shore = 0.63 - 0.025 * c.skyline(4, 3)
    c.paint(c.mask_below(shore - 0.006), linear_color(120, 186, 216) * c.lit)
    paint_ground(c, shore, linear_color(226, 240, 250), cells=5, contrast=0.18, haze=0.0)
    cracks = np.abs(c.noise(3, 3, stretch=4) - 0.5) < 0.006
    c.paint(cracks * c.mask_below(shore + 0.04) * 0.7, linear_color(116, 178, 212) * c.lit)


def _paint_iceberg(c: Canvas, left: float, width: float, height: float) -> None:
    """Paint a jagged white block with blue flanks in the shade."""
    knots = np.array([0.0, 0.5, 1.0, 0.65, 0.9, 0.35, 0.0]) + c.rng.uniform(-0.12, 0.12, 7)
    knots[[0, -1]] = 0
    across = (c.x[0] - left) / width
    line = 0.575 - height * np.interp(across, np.linspace(0, 1, 7), np.clip(knots, 0, 1))
    inside = c.mask_below(line) * (1 - c.mask_below(0.575)) * ((across > 0) & (across < 1))
    lit = np.gradient(line) * c.h * (-1 if c.sun > left else 1)
    tone = np.clip(0.80 + 0.28 * np.clip(lit, -1, 1), 0.45, 1.05)[None, :, None]
    white, blue = linear_color(244, 250, 255), linear_color(132, 190, 224)
    deep = np.clip((c.y - line) / max(height, 0.05), 0, 1)[..., None]
    c.paint(inside, (white * (1 - 0.7 * deep) + blue * 0.7 * deep) * c.lit * tone)
