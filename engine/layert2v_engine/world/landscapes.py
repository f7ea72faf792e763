"""Natural places, each painted over a finished sky: first the distance, then the land.

Knows landscapes only; `scenery` knows what they are made of.
"""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, linear
from .scenery import HORIZON, cactus, ground, hills, palm, pine, stand, tree


def forest(c: Canvas) -> None:
    c.paint(
        c.below(0.24 - 0.08 * c.skyline(9, 3)), linear(66, 104, 62) * c.lit * 0.7 + c.haze * 0.18
    )
    c.begin_land()
    ground(c, 0.55, linear(112, 128, 66), contrast=0.7, haze=0.1)
    leaves = (linear(74, 128, 52), linear(96, 146, 54), linear(56, 108, 56))
    for cx, base, height, haze in stand(c, 26, 0.64, 0.54, 0.56):
        tree(c, cx, base, height, haze * 0.7, leaves[int(c.rng.integers(3))])


def snowy_forest(c: Canvas) -> None:
    c.paint(
        c.below(0.36 - 0.06 * c.skyline(9, 3)), linear(120, 146, 160) * c.lit * 0.8 + c.haze * 0.15
    )
    c.begin_land()
    ground(c, 0.54 - 0.02 * c.skyline(3, 2), linear(240, 244, 250), contrast=0.22, haze=0.1)
    for cx, base, height, haze in stand(c, 30, 0.63, 0.54, 0.56):
        pine(c, cx, base, height, haze, snow=True)


def desert(c: Canvas) -> None:
    sand = linear(232, 186, 112)
    hills(c, 0.50, 0.16, linear(206, 142, 88), cells=1.4, haze=0.35)
    c.begin_land()
    for base, rise in ((0.56, 0.12), (0.66, 0.12)):
        line = base - rise * c.skyline(0.9, 2, 0.2)
        slope = np.gradient(line) * c.h * (1 if c.sun > c.span / 2 else -1)
        tone = 0.88 + 0.5 * np.clip(slope, -0.3, 0.3)
        c.paint(c.below(line), sand * c.lit * tone[None, :, None] * 0.92 + c.haze * 0.06)
    ground(c, 0.70 - 0.06 * c.skyline(0.8, 2, 0.2), sand, cells=5, contrast=0.22, haze=0.0)
    for _ in range(int(c.rng.integers(3, 6))):
        cactus(c, c.rng.uniform(0, c.span), c.rng.uniform(0.60, 0.70), c.rng.uniform(0.22, 0.36))


def beach(c: Canvas) -> None:
    water = linear(32, 134, 186) * c.lit * 0.85 + c.haze * 0.12
    waves = 0.85 + 0.35 * c.noise(14, 3, stretch=7)
    c.paint(c.below(HORIZON - 0.02), water * waves[..., None])
    if any(c.light.disc):
        glitter = (
            np.exp(-(((c.x - c.sun) / 0.12) ** 2))
            * (c.noise(40, 1, stretch=5) > 0.62)
            * (c.y < 0.63)
        )
        c.paint(
            glitter.astype(np.float32) * c.below(HORIZON) * 0.6,
            np.array(c.light.disc, np.float32) * 0.9,
        )
    c.begin_land()
    shore = 0.635 - 0.02 * c.skyline(2.5, 2)
    c.paint(c.below(shore - 0.022), linear(240, 248, 250) * c.lit)
    ground(c, shore, linear(240, 216, 164), contrast=0.2, haze=0.0)
    wet = np.clip(1 - np.abs(c.y - shore - 0.02) / 0.03, 0, 1) * 0.45
    c.paint(wet, linear(196, 166, 118) * c.lit)
    for side in (0.12, 0.88):
        palm(
            c,
            c.span * (side + c.rng.uniform(-0.08, 0.08)),
            c.rng.uniform(0.70, 0.74),
            c.rng.uniform(0.44, 0.54),
        )


def meadow(c: Canvas) -> None:
    hills(c, 0.50, 0.16, linear(112, 158, 92), cells=0.9, haze=0.3)
    hills(c, 0.58, 0.12, linear(112, 172, 70), cells=1.1, haze=0.08)
    c.begin_land()
    for _ in range(int(c.rng.integers(2, 5))):
        tree(
            c,
            c.rng.uniform(0, c.span),
            c.rng.uniform(0.52, 0.56),
            c.rng.uniform(0.14, 0.20),
            0.12,
            linear(72, 130, 54),
        )
    ground(c, 0.58, linear(116, 180, 62), cells=10, contrast=0.5, haze=0.05)
    blossoms = (linear(252, 250, 244), linear(250, 214, 50), linear(236, 92, 120))
    for _ in range(0 if c.light.dusting else 130):
        depth = c.rng.random() ** 0.7
        y, x, r = 0.62 + 0.37 * depth, c.rng.uniform(0, c.span), 0.005 + 0.008 * depth
        window = c.stamp(x, y - r * 1.5, r * 1.5, y + r * 1.5)
        mask = c.soft(r - np.hypot(c.x[:, window[1]] - x, c.y[window[0]] - y))
        c.fill(window, mask, blossoms[int(c.rng.integers(3))] * c.lit)


def mountain_lake(c: Canvas) -> None:
    """Snow-capped peaks over still water, a grassy shore with firs at the sides."""
    for base, rise, haze, cells in ((0.47, 0.40, 0.42, 1.5), (0.47, 0.24, 0.20, 1.9)):
        line = base - rise * (1 - np.abs(2 * c.skyline(cells, 5, 0.5) - 1)) ** 1.3
        shade = 0.75 + 0.5 * (c.noise(7, 3) - 0.3)
        rock = linear(104, 112, 132) * shade[..., None]
        snow_line = base - 0.55 * rise + 0.06 * (c.noise(16, 2) - 0.5)
        high = np.clip((snow_line - c.y) * 40, 0, 1)
        stone = rock * (1 - high[..., None]) + linear(240, 244, 252) * high[..., None]
        c.paint(c.below(line), stone * c.lit * (1 - haze) + c.haze * haze)
    water = linear(40, 116, 150) * c.lit * 0.8 + c.haze * 0.25
    ripple = 0.82 + 0.36 * c.noise(22, 3, stretch=9)
    c.paint(c.below(HORIZON + 0.005), water * ripple[..., None])
    c.begin_land()
    shore = 0.66 - 0.03 * c.skyline(2, 2)
    c.paint(c.below(shore - 0.016), linear(150, 146, 134) * c.lit)
    ground(c, shore, linear(104, 150, 76), cells=9, contrast=0.45, haze=0.0)
    for side in (0.06, 0.20, 0.80, 0.94):
        pine(c, c.span * (side + c.rng.uniform(-0.05, 0.05)), c.rng.uniform(0.66, 0.71),
             c.rng.uniform(0.30, 0.44), 0.0, snow=False)  # fmt: skip


def _mesa(c: Canvas, left: float, right: float, top: float, foot: float, haze: float) -> None:
    """A table mountain in coloured bands, lighter towards the sun."""
    slope = 0.10 + 0.25 * np.clip((c.y - top) / max(foot - top, 1e-3), 0, 1) ** 2
    edge = 0.012 * (c.noise(18, 2) - 0.5)
    inside = np.minimum(c.x - left + slope * (c.y - top), right - c.x + slope * (c.y - top)) + edge
    mask = c.soft(np.minimum(inside, c.y - top + 0.4 * edge)) * c.soft(foot - c.y)
    bands = 0.5 + 0.5 * np.sin(62 * (c.y + edge) + 2.5 * np.sin(23 * c.y))
    red = linear(176, 84, 52) + (linear(226, 148, 98) - linear(176, 84, 52)) * bands[..., None]
    towards = (c.x - (left + right) / 2) / (right - left) * (1.0 if c.sun > left else -1.0)
    tone = (0.9 + 0.4 * np.clip(towards, -0.6, 0.6) + 0.3 * (c.noise(9, 3) - 0.5))[..., None]
    c.paint(mask, red * c.lit * tone * (1 - haze) + c.haze * haze)


def red_canyon(c: Canvas) -> None:
    """Banded table mountains over red ground."""
    x = -c.rng.uniform(0, 0.3)
    while x < c.span:
        width = float(c.rng.uniform(0.25, 0.5))
        _mesa(c, x, x + width, float(c.rng.uniform(0.24, 0.36)), 0.56, 0.35)
        x += width + float(c.rng.uniform(0.0, 0.25))
    c.begin_land()
    x = -c.rng.uniform(0, 0.2)
    while x < c.span:
        width = float(c.rng.uniform(0.28, 0.55))
        _mesa(c, x, x + width, float(c.rng.uniform(0.06, 0.30)), 0.63, 0.0)
        x += width + float(c.rng.uniform(0.15, 0.45))
    ground(c, 0.60 - 0.02 * c.skyline(2, 2), linear(206, 112, 70), cells=6, contrast=0.4, haze=0.05)
    for _ in range(int(c.rng.integers(10, 16))):
        depth = c.rng.random()
        _boulder(c, c.rng.uniform(0, c.span), 0.63 + 0.1 * depth, 0.012 + 0.02 * depth)


def _boulder(c: Canvas, cx: float, base: float, r: float) -> None:
    window = c.stamp(cx, base - r, 1.4 * r, base + 0.4 * r)
    px, py = (c.x[:, window[1]] - cx) / 1.4, c.y[window[0]] - base + 0.2 * r
    tone = (1.0 - 0.5 * py / r + 0.3 * px / r * (1 if c.sun > cx else -1))[..., None]
    c.fill(window, c.soft(0.8 * r - np.hypot(px, py)), linear(150, 74, 48) * c.lit * tone)


def moon(c: Canvas) -> None:
    """A black sky with stars and a blue planet, grey dust and craters."""
    c.rgb *= 0.10
    stars = (c.rng.random((c.h, c.w)) > 0.997).astype(np.float32)
    c.paint(np.maximum(stars, np.roll(stars, 1, 1) * 0.7) * 0.85, linear(240, 244, 255))
    cx, cy, r = c.span * c.rng.uniform(0.35, 0.65), c.rng.uniform(0.14, 0.22), 0.11
    d = np.hypot(c.x - cx, c.y - cy)
    seas = np.clip((c.noise(9, 3) - 0.52) * 9, 0, 1)[..., None]
    globe = linear(44, 108, 208) * (1 - seas) + linear(96, 160, 92) * seas
    c.paint(c.soft(r - d), globe * np.clip(1.1 - 2 * (d / r) ** 4 * 0.3, 0.3, 1)[..., None])
    c.begin_land()
    dust = linear(176, 176, 182)
    hills(c, 0.50, 0.14, dust * 0.72, cells=1.6, haze=0.0)
    ground(c, 0.52 - 0.02 * c.skyline(2, 2), dust, cells=8, contrast=0.45, haze=0.0)
    for _ in range(15):
        depth = float(c.rng.random())
        _crater(c, c.rng.uniform(0, c.span), 0.56 + 0.42 * depth**0.8, 0.025 + 0.05 * depth)


def _crater(c: Canvas, cx: float, cy: float, r: float) -> None:
    window = c.stamp(cx, cy - 0.5 * r, 1.2 * r, cy + 0.5 * r)
    px, py = (c.x[:, window[1]] - cx) / r, (c.y[window[0]] - cy) / (0.36 * r)
    d, sun = np.hypot(px, py), 1 if c.sun > cx else -1
    c.fill(window, c.soft((1 - d) * 0.3 * r) * 0.8, linear(118, 118, 126) * c.lit)
    rim = np.clip(1 - np.abs(d - 0.95) * 5, 0, 1) * np.clip(0.5 - px * sun, 0, 1)
    c.fill(window, rim * 0.8, linear(226, 226, 232) * c.lit)
