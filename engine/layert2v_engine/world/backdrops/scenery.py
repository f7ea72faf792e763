"""What landscapes are made of: sky, ground, hills, trees, buildings, painted on a canvas.

Surfaces have a daylight albedo and are lit by the time of day. Knows no places.
"""

from __future__ import annotations

import math

import numpy as np

from layert2v_engine.world.backdrops.canvas import Array, Canvas, linear_color

HORIZON = 0.46  # of the height


def paint_sky(c: Canvas) -> None:
    """Paint the sky: a gradient, stars at night, sun or moon, clouds."""
    t = np.clip(c.y / HORIZON, 0, 1) ** 1.2
    c.rgb[:] = (
        linear_color(*c.light.zenith) * (1 - t[..., None]) + c.haze * t[..., None]
    ) + 0 * c.x[..., None]
    night = c.light.stars
    if night:
        stars = (c.rng.random((c.h, c.w)) > 0.9965).astype(np.float32)
        stars = np.maximum(stars, np.roll(stars, 1, 1) * 0.8)
        c.paint(stars * (c.y < 0.4) * 0.8, linear_color(235, 240, 255))
    disc = np.array(c.light.disc, np.float32)
    if disc.any():
        d = np.hypot(c.x - c.sun, c.y - c.light.height)
        glow = np.exp(-((d / 0.16) ** 1.3)) * (0.25 if night else 0.6)
        c.rgb += glow[..., None] * disc * (0.35 if night else 0.6)
        c.paint(c.soft(0.062 - d), disc)
    cover = c.noise(3.2, 4, stretch=2.4)
    edge = 0.68 - 0.22 * c.light.clouds
    clouds = np.clip((cover - edge) * 5, 0, 1) * (0.25 + 0.6 * c.light.clouds)
    white = c.haze * 0.35 + 0.65 * (np.array([0.9, 0.9, 0.92], np.float32) * c.lit + 0.1 * disc)
    c.paint(clouds * (1 - 0.5 * t), white)


def paint_ground(
    c: Canvas,
    line: Array | float,
    albedo: Array,
    *,
    cells: float = 7,
    contrast: float = 0.5,
    haze: float = 0.25,
) -> None:
    """Paint textured ground from a line to the bottom, fading to haze far away."""
    start = float(np.mean(line))
    depth = np.clip((c.y - start) / (1 - start), 0, 1)
    texture = 1 + contrast * (c.noise(cells, 4, stretch=3.5) - 0.5)
    albedo = albedo + (linear_color(240, 244, 250) - albedo) * c.light.snow_cover
    near = albedo * c.lit * (texture * (0.80 + 0.20 * depth))[..., None]
    fade = (haze * (1 - depth) ** 3)[..., None]
    c.paint(c.mask_below(line), near * (1 - fade) + c.haze * fade)


def paint_hills(
    c: Canvas, base: float, rise: float, albedo: Array, *, cells: float, haze: float
) -> None:
    """Paint a line of hills up to ``rise`` above ``base``, in shares of the height."""
    line = base - rise * c.skyline(cells, 2, 0.3)
    shade = 0.9 + 0.25 * (c.noise(6, 3, stretch=2) - 0.5)
    c.paint(c.mask_below(line), albedo * c.lit * shade[..., None] * (1 - haze) + c.haze * haze)


def side_light(c: Canvas, cx: float, px: Array, size: float) -> Array:
    """Return the brightness across a round thing: lighter towards the sun."""
    towards = 1.0 if c.sun > cx else -1.0
    return 1.0 + 0.35 * np.clip(px / size * towards, -1, 1)


def paint_trunk(c: Canvas, cx: float, base: float, height: float, half: float, haze: float) -> None:
    """Paint a tree trunk, lit from the side."""
    window = c.stamp(cx, base - height, half + 0.02, base)
    px = c.x[:, window[1]] - cx
    mask = c.soft(half - np.abs(px)) * c.soft(base - c.y[window[0]])
    bark = linear_color(104, 76, 52) * c.lit * side_light(c, cx, px, half)[..., None]
    c.fill(window, mask, bark * (1 - haze) + c.haze * haze)


def paint_pine(c: Canvas, cx: float, base: float, height: float, haze: float, snow: bool) -> None:
    """Paint a layered fir, with white shelves in winter."""
    paint_trunk(c, cx, base, height * 0.2, height * 0.03, haze)
    window = c.stamp(cx, base - height, height * 0.36, base - height * 0.1)
    px, up = c.x[:, window[1]] - cx, (base - c.y[window[0]]) / height
    tier = (up * 4.5) % 1
    half = height * 0.34 * (1.02 - up) * (0.62 + 0.38 * (1 - tier))
    mask = c.soft(half - np.abs(px)) * c.soft((up - 0.1) * height) * c.soft((1 - up) * height)
    green = linear_color(46, 96, 62) * (0.55 + 0.45 * (1 - tier))[..., None]
    if snow:
        shelf = np.clip((0.55 - tier) * 6 + 0 * px, 0, 1)[..., None] * 0.85
        green = green * (1 - shelf) + linear_color(238, 244, 252) * shelf
    lit = green * c.lit * side_light(c, cx, px, height * 0.3)[..., None]
    c.fill(window, mask, lit * (1 - haze) + c.haze * haze)


def paint_tree(c: Canvas, cx: float, base: float, height: float, haze: float, leaf: Array) -> None:
    """Paint a round-crowned tree of a few overlapping balls."""
    paint_trunk(c, cx, base, height * 0.6, height * 0.05, haze)
    for _ in range(5):
        ox, oy = c.rng.uniform(-0.2, 0.2) * height, c.rng.uniform(0.55, 0.82) * height
        r = c.rng.uniform(0.16, 0.24) * height
        window = c.stamp(cx + ox, base - oy - r, r, base - oy + r)
        px, py = c.x[:, window[1]] - cx - ox, c.y[window[0]] - base + oy
        mask = c.soft(r - np.hypot(px, py))
        tone = (side_light(c, cx, px + 0 * py, r) - 0.35 * py / r)[..., None]
        c.fill(window, mask, leaf * c.lit * tone * (1 - haze) + c.haze * haze)


def scatter_trees(
    c: Canvas, count: int, near: float, far: float, size: float
) -> list[tuple[float, float, float, float]]:
    """Return trees back to front: column, base, height, haze."""
    depths = np.sort(c.rng.random(count))
    out = []
    for z in depths:
        height = size * (0.6 + 0.4 * z) * c.rng.uniform(0.85, 1.15)
        out.append(
            (c.rng.uniform(0, c.span), far + (near - far) * float(z), height, 0.35 * (1 - float(z)))
        )
    return out


def paint_cactus(c: Canvas, cx: float, base: float, height: float) -> None:
    """Paint a cactus with two arms."""
    window = c.stamp(cx, base - height - 0.05, height * 0.4, base)
    px, py = c.x[:, window[1]] - cx, base - c.y[window[0]]
    thick = height * 0.085

    def bar(x0: float, y0: float, x1: float, y1: float) -> Array:
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        return thick - np.hypot(px - x0 - t * dx, py - y0 - t * dy)

    arms = [bar(0, 0, 0, height)]
    for side, level in ((-1, 0.40), (1, 0.52)):
        out = side * height * 0.27
        arms += [
            bar(0, level * height, out, level * height),
            bar(out, level * height, out, (level + 0.30) * height),
        ]
    tone = side_light(c, cx, px + 0 * py, height * 0.3)[..., None]
    c.fill(window, c.soft(np.maximum.reduce(arms)), linear_color(62, 118, 66) * c.lit * tone)


def paint_palm(c: Canvas, cx: float, base: float, height: float) -> None:
    """Paint a leaning palm with seven leaves."""
    lean = c.rng.uniform(-0.10, 0.10)
    up = np.clip((base - c.y) / height, 0, 1)
    stem = (
        c.soft(0.016 - np.abs(c.x - cx - lean * up**1.5))
        * c.soft(base - c.y)
        * c.soft(c.y - base + height)
    )
    c.paint(stem, linear_color(136, 100, 66) * c.lit)
    hx, hy = cx + lean, base - height
    for angle in np.linspace(-0.35, math.pi + 0.35, 7) + c.rng.uniform(-0.1, 0.1):
        reach = 0.21
        t = np.clip(((c.x - hx) * math.cos(angle) + (hy - c.y) * math.sin(angle)) / reach, 0, 1)
        px, py = hx + t * reach * math.cos(angle), hy - t * reach * math.sin(angle) + 0.14 * t * t
        leaf = 0.024 * np.sin(math.pi * np.clip(t + 0.12, 0, 1)) - np.hypot(c.x - px, c.y - py)
        c.paint(c.soft(leaf), linear_color(54, 122, 58) * c.lit)


def paint_building(
    c: Canvas, x0: float, x1: float, top: float, foot: float, wall: Array, lamps: float
) -> None:
    """Paint a block with a grid of windows, some of them lit."""
    window = (
        slice(max(0, int(top * c.h)), int(foot * c.h)),
        slice(int(x0 * c.h), int(min(c.w, x1 * c.h))),
    )
    if window[1].start >= window[1].stop:
        return
    px, py = (c.x[:, window[1]] - x0) / 0.062, (c.y[window[0]] - top) / 0.075
    c.fill(window, np.ones((py.shape[0], px.shape[1]), np.float32), wall * c.lit)
    across, margin = int((x1 - x0) / 0.062), 0.0
    cell_x, cell_y = np.clip(px.astype(int), 0, 63), np.clip(py.astype(int), 0, 63)
    glass = (
        (px % 1 > 0.28)
        & (px % 1 < 0.86)
        & (py % 1 > 0.30)
        & (py % 1 < 0.84)
        & (px > margin)
        & (px < across)
    ).astype(np.float32)
    on = c.rng.random((64, 64))[cell_y, cell_x] < lamps
    dark, bright = linear_color(70, 96, 124) * c.lit, linear_color(255, 212, 120) * 0.9
    c.fill(window, glass, np.where(on[..., None], bright, dark))
