"""Background plates: six places at four times of day, wider than the frame so a camera can pan.

Knows pictures without figures. Surfaces have a daylight albedo and are lit by the time of day; the
horizon and the ground where figures stand keep nearly the same height in all places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from .canvas import Array, Canvas, Generator, linear
from .light import LIGHTS
from .vocabulary import PLACES, TIMES

OVERSCAN = 1.5  # plate width over frame width
_SUPERSAMPLE = 2
_HORIZON = 0.46  # of the height

_NIGHT = next(i for i, word in enumerate(TIMES) if word.name == "night")


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A finished background, display-referred, and the side of its light (-1 left, +1 right)."""

    pixels: NDArray[np.uint8]  # [H, W * OVERSCAN, 3]
    sun_side: int


def _sky(c: Canvas, night: bool) -> None:
    t = np.clip(c.y / _HORIZON, 0, 1) ** 1.2
    c.rgb[:] = (linear(*c.light.zenith) * (1 - t[..., None]) + c.haze * t[..., None]) + 0 * c.x[
        ..., None
    ]
    if night:
        stars = (c.rng.random((c.h, c.w)) > 0.9965).astype(np.float32)
        stars = np.maximum(stars, np.roll(stars, 1, 1) * 0.8)
        c.paint(stars * (c.y < 0.4) * 0.8, linear(235, 240, 255))
    disc = np.array(c.light.disc, np.float32)
    if disc.any():
        d = np.hypot(c.x - c.sun, c.y - c.light.height)
        glow = np.exp(-((d / 0.16) ** 1.3)) * (0.25 if night else 0.6)
        c.rgb += glow[..., None] * disc * (0.35 if night else 0.6)
        c.paint(c.soft(0.062 - d), disc)
    cover = c.noise(3.2, 4, stretch=2.4)
    edge = 0.68 - 0.22 * c.light.bank
    clouds = np.clip((cover - edge) * 5, 0, 1) * (0.25 + 0.6 * c.light.bank)
    white = c.haze * 0.35 + 0.65 * (np.array([0.9, 0.9, 0.92], np.float32) * c.lit + 0.1 * disc)
    c.paint(clouds * (1 - 0.5 * t), white)


def _ground(
    c: Canvas,
    line: Array | float,
    albedo: Array,
    *,
    cells: float = 7,
    contrast: float = 0.5,
    haze: float = 0.25,
) -> None:
    """Textured ground from a line to the bottom, fading to haze far away."""
    start = float(np.mean(line))
    depth = np.clip((c.y - start) / (1 - start), 0, 1)
    texture = 1 + contrast * (c.noise(cells, 4, stretch=3.5) - 0.5)
    near = albedo * c.lit * (texture * (0.80 + 0.20 * depth))[..., None]
    fade = (haze * (1 - depth) ** 3)[..., None]
    c.paint(c.below(line), near * (1 - fade) + c.haze * fade)


def _hills(
    c: Canvas, base: float, rise: float, albedo: Array, *, cells: float, haze: float
) -> None:
    line = base - rise * c.skyline(cells, 2, 0.3)
    shade = 0.9 + 0.25 * (c.noise(6, 3, stretch=2) - 0.5)
    c.paint(c.below(line), albedo * c.lit * shade[..., None] * (1 - haze) + c.haze * haze)


def _side_light(c: Canvas, cx: float, px: Array, size: float) -> Array:
    """Brightness across a round thing: lighter towards the sun."""
    towards = 1.0 if c.sun > cx else -1.0
    return 1.0 + 0.35 * np.clip(px / size * towards, -1, 1)


def _trunk(c: Canvas, cx: float, base: float, height: float, half: float, haze: float) -> None:
    window = c.stamp(cx, base - height, half + 0.02, base)
    px = c.x[:, window[1]] - cx
    mask = c.soft(half - np.abs(px)) * c.soft(base - c.y[window[0]])
    bark = linear(104, 76, 52) * c.lit * _side_light(c, cx, px, half)[..., None]
    c.fill(window, mask, bark * (1 - haze) + c.haze * haze)


def _pine(c: Canvas, cx: float, base: float, height: float, haze: float, snow: bool) -> None:
    """A layered fir, with white shelves in winter."""
    _trunk(c, cx, base, height * 0.2, height * 0.03, haze)
    window = c.stamp(cx, base - height, height * 0.36, base - height * 0.1)
    px, up = c.x[:, window[1]] - cx, (base - c.y[window[0]]) / height
    tier = (up * 4.5) % 1
    half = height * 0.34 * (1.02 - up) * (0.62 + 0.38 * (1 - tier))
    mask = c.soft(half - np.abs(px)) * c.soft((up - 0.1) * height) * c.soft((1 - up) * height)
    green = linear(46, 96, 62) * (0.55 + 0.45 * (1 - tier))[..., None]
    if snow:
        shelf = np.clip((0.55 - tier) * 6 + 0 * px, 0, 1)[..., None] * 0.85
        green = green * (1 - shelf) + linear(238, 244, 252) * shelf
    lit = green * c.lit * _side_light(c, cx, px, height * 0.3)[..., None]
    c.fill(window, mask, lit * (1 - haze) + c.haze * haze)


def _tree(c: Canvas, cx: float, base: float, height: float, haze: float, leaf: Array) -> None:
    """A round-crowned tree of a few overlapping balls."""
    _trunk(c, cx, base, height * 0.6, height * 0.05, haze)
    for _ in range(5):
        ox, oy = c.rng.uniform(-0.2, 0.2) * height, c.rng.uniform(0.55, 0.82) * height
        r = c.rng.uniform(0.16, 0.24) * height
        window = c.stamp(cx + ox, base - oy - r, r, base - oy + r)
        px, py = c.x[:, window[1]] - cx - ox, c.y[window[0]] - base + oy
        mask = c.soft(r - np.hypot(px, py))
        tone = (_side_light(c, cx, px + 0 * py, r) - 0.35 * py / r)[..., None]
        c.fill(window, mask, leaf * c.lit * tone * (1 - haze) + c.haze * haze)


def _stand(
    c: Canvas, count: int, near: float, far: float, size: float
) -> list[tuple[float, float, float, float]]:
    """Trees back to front: column, base, height, haze."""
    depths = np.sort(c.rng.random(count))
    out = []
    for z in depths:
        height = size * (0.6 + 0.4 * z) * c.rng.uniform(0.85, 1.15)
        out.append(
            (c.rng.uniform(0, c.span), far + (near - far) * float(z), height, 0.35 * (1 - float(z)))
        )
    return out


def _forest(c: Canvas) -> None:
    c.paint(
        c.below(0.24 - 0.08 * c.skyline(9, 3)), linear(66, 104, 62) * c.lit * 0.7 + c.haze * 0.18
    )
    _ground(c, 0.55, linear(112, 128, 66), contrast=0.7, haze=0.1)
    leaves = (linear(74, 128, 52), linear(96, 146, 54), linear(56, 108, 56))
    for cx, base, height, haze in _stand(c, 26, 0.64, 0.54, 0.56):
        _tree(c, cx, base, height, haze * 0.7, leaves[int(c.rng.integers(3))])


def _snowy_forest(c: Canvas) -> None:
    c.paint(
        c.below(0.36 - 0.06 * c.skyline(9, 3)), linear(120, 146, 160) * c.lit * 0.8 + c.haze * 0.15
    )
    _ground(c, 0.54 - 0.02 * c.skyline(3, 2), linear(240, 244, 250), contrast=0.22, haze=0.1)
    for cx, base, height, haze in _stand(c, 30, 0.63, 0.54, 0.56):
        _pine(c, cx, base, height, haze, snow=True)


def _cactus(c: Canvas, cx: float, base: float, height: float) -> None:
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
    tone = _side_light(c, cx, px + 0 * py, height * 0.3)[..., None]
    c.fill(window, c.soft(np.maximum.reduce(arms)), linear(62, 118, 66) * c.lit * tone)


def _desert(c: Canvas) -> None:
    sand = linear(232, 186, 112)
    _hills(c, 0.50, 0.16, linear(206, 142, 88), cells=1.4, haze=0.35)
    for base, rise in ((0.56, 0.12), (0.66, 0.12)):
        line = base - rise * c.skyline(0.9, 2, 0.2)
        slope = np.gradient(line) * c.h * (1 if c.sun > c.span / 2 else -1)
        tone = 0.88 + 0.5 * np.clip(slope, -0.3, 0.3)
        c.paint(c.below(line), sand * c.lit * tone[None, :, None] * 0.92 + c.haze * 0.06)
    _ground(c, 0.70 - 0.06 * c.skyline(0.8, 2, 0.2), sand, cells=5, contrast=0.22, haze=0.0)
    for _ in range(int(c.rng.integers(3, 6))):
        _cactus(c, c.rng.uniform(0, c.span), c.rng.uniform(0.60, 0.70), c.rng.uniform(0.22, 0.36))


def _palm(c: Canvas, cx: float, base: float, height: float) -> None:
    lean = c.rng.uniform(-0.10, 0.10)
    up = np.clip((base - c.y) / height, 0, 1)
    stem = (
        c.soft(0.016 - np.abs(c.x - cx - lean * up**1.5))
        * c.soft(base - c.y)
        * c.soft(c.y - base + height)
    )
    c.paint(stem, linear(136, 100, 66) * c.lit)
    hx, hy = cx + lean, base - height
    for angle in np.linspace(-0.35, math.pi + 0.35, 7) + c.rng.uniform(-0.1, 0.1):
        reach = 0.21
        t = np.clip(((c.x - hx) * math.cos(angle) + (hy - c.y) * math.sin(angle)) / reach, 0, 1)
        px, py = hx + t * reach * math.cos(angle), hy - t * reach * math.sin(angle) + 0.14 * t * t
        leaf = 0.024 * np.sin(math.pi * np.clip(t + 0.12, 0, 1)) - np.hypot(c.x - px, c.y - py)
        c.paint(c.soft(leaf), linear(54, 122, 58) * c.lit)


def _beach(c: Canvas) -> None:
    water = linear(32, 134, 186) * c.lit * 0.85 + c.haze * 0.12
    waves = 0.85 + 0.35 * c.noise(14, 3, stretch=7)
    c.paint(c.below(_HORIZON - 0.02), water * waves[..., None])
    if any(c.light.disc):
        glitter = (
            np.exp(-(((c.x - c.sun) / 0.12) ** 2))
            * (c.noise(40, 1, stretch=5) > 0.62)
            * (c.y < 0.63)
        )
        c.paint(
            glitter.astype(np.float32) * c.below(_HORIZON) * 0.6,
            np.array(c.light.disc, np.float32) * 0.9,
        )
    shore = 0.635 - 0.02 * c.skyline(2.5, 2)
    c.paint(c.below(shore - 0.022), linear(240, 248, 250) * c.lit)
    _ground(c, shore, linear(240, 216, 164), contrast=0.2, haze=0.0)
    wet = np.clip(1 - np.abs(c.y - shore - 0.02) / 0.03, 0, 1) * 0.45
    c.paint(wet, linear(196, 166, 118) * c.lit)
    for side in (0.12, 0.88):
        _palm(
            c,
            c.span * (side + c.rng.uniform(-0.08, 0.08)),
            c.rng.uniform(0.70, 0.74),
            c.rng.uniform(0.44, 0.54),
        )


def _meadow(c: Canvas) -> None:
    _hills(c, 0.50, 0.16, linear(112, 158, 92), cells=0.9, haze=0.3)
    _hills(c, 0.58, 0.12, linear(112, 172, 70), cells=1.1, haze=0.08)
    for _ in range(int(c.rng.integers(2, 5))):
        _tree(
            c,
            c.rng.uniform(0, c.span),
            c.rng.uniform(0.52, 0.56),
            c.rng.uniform(0.14, 0.20),
            0.12,
            linear(72, 130, 54),
        )
    _ground(c, 0.58, linear(116, 180, 62), cells=10, contrast=0.5, haze=0.05)
    blossoms = (linear(252, 250, 244), linear(250, 214, 50), linear(236, 92, 120))
    for _ in range(130):
        depth = c.rng.random() ** 0.7
        y, x, r = 0.62 + 0.37 * depth, c.rng.uniform(0, c.span), 0.005 + 0.008 * depth
        window = c.stamp(x, y - r * 1.5, r * 1.5, y + r * 1.5)
        mask = c.soft(r - np.hypot(c.x[:, window[1]] - x, c.y[window[0]] - y))
        c.fill(window, mask, blossoms[int(c.rng.integers(3))] * c.lit)


def _building(
    c: Canvas, x0: float, x1: float, top: float, foot: float, wall: Array, lamps: float
) -> None:
    """A block with a grid of windows, some of them lit."""
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
    dark, bright = linear(70, 96, 124) * c.lit, linear(255, 212, 120) * 0.9
    c.fill(window, glass, np.where(on[..., None], bright, dark))


def _city(c: Canvas, lamps: float) -> None:
    walls = (
        linear(176, 122, 98),
        linear(168, 160, 150),
        linear(128, 138, 154),
        linear(198, 176, 138),
        linear(150, 98, 84),
    )
    for row, (low, high, haze) in enumerate(((0.10, 0.26, 0.35), (0.22, 0.42, 0.0))):
        x = -c.rng.uniform(0, 0.2)
        while x < c.span:
            width = float(c.rng.uniform(0.19, 0.34))
            wall = walls[int(c.rng.integers(len(walls)))] * (1 - haze) + haze * c.haze
            _building(
                c, max(0.0, x), x + width, float(c.rng.uniform(low, high)), 0.645, wall, lamps
            )
            x += width + (0.03 if row == 0 else float(c.rng.choice([0.008, 0.10])))
    _ground(c, 0.64, linear(176, 172, 166), contrast=0.12, haze=0.0)
    _ground(c, 0.725, linear(92, 94, 100), contrast=0.2, haze=0.0)
    c.paint(c.below(0.715) * (1 - c.below(0.73)), linear(214, 210, 200) * c.lit)
    dash = (
        (np.abs((c.x / 0.34) % 1 - 0.5) < 0.27).astype(np.float32)
        * c.below(0.945)
        * (1 - c.below(0.968))
    )
    c.paint(dash, linear(240, 226, 150) * c.lit)


_PAINTERS = {
    "forest": _forest,
    "snowy forest": _snowy_forest,
    "desert": _desert,
    "beach": _beach,
    "meadow": _meadow,
}


def plate(place: int, time: int, *, width: int, height: int, rng: Generator) -> Plate:
    """Draw a plate for a frame of width x height pixels; the plate is OVERSCAN times as wide."""
    name, light, night = PLACES[place].name, LIGHTS[time], time == _NIGHT
    side = int(rng.choice([-1, 1]))
    w, h = round(width * OVERSCAN) * _SUPERSAMPLE, height * _SUPERSAMPLE
    canvas = Canvas(w, h, light, w / h * (0.5 + side * rng.uniform(0.22, 0.36)), rng)
    _sky(canvas, night)
    if name == "city street":
        _city(canvas, 0.62 if night else 0.30 if light.height > 0.3 else 0.06)
    else:
        _PAINTERS[name](canvas)
    picture = torch.from_numpy(np.clip(canvas.rgb, 0, 1)).permute(2, 0, 1)[None]
    small = functional.avg_pool2d(picture, _SUPERSAMPLE)[0].permute(1, 2, 0).numpy()
    display = np.where(
        small <= 0.0031308, small * 12.92, 1.055 * np.maximum(small, 0.0031308) ** (1 / 2.4) - 0.055
    )
    return Plate(pixels=(np.clip(display, 0, 1) * 255).round().astype(np.uint8), sun_side=side)
