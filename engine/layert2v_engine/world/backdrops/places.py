"""Background plates: places at a time of day, wider than the frame so a camera can pan.

Knows pictures without subjects. The horizon and the ground where subjects stand keep nearly the
same height in all places. A plate has two planes: the distance, and the land in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from layert2v_engine.image.srgb import encode_srgb_array
from layert2v_engine.world.backdrops import landscapes, settlements, wilds
from layert2v_engine.world.backdrops.canvas import Array, Canvas, Generator
from layert2v_engine.world.backdrops.light import LIGHTS
from layert2v_engine.world.backdrops.scenery import paint_sky
from layert2v_engine.world.text.vocabulary import PLACES

OVERSCAN = 1.5  # plate width over frame width
_SUPERSAMPLE = 2


@dataclass(frozen=True, kw_only=True)
class Plate:
    """A finished background, and the side of its light (-1 left, +1 right).

    Channels: display-referred RGB of the distance, of the land before it, and the land's cover.
    """

    pixels: NDArray[np.uint8]  # [H, W * OVERSCAN, 7]
    sun_side: int


_PAINTERS = {
    "forest": landscapes.paint_forest,
    "snowy forest": landscapes.paint_snowy_forest,
    "desert": landscapes.paint_desert,
    "beach": landscapes.paint_beach,
    "meadow": landscapes.paint_meadow,
    "city street": settlements.paint_city,
    "mountain lake": wilds.paint_mountain_lake,
    "red canyon": wilds.paint_red_canyon,
    "village": settlements.paint_village,
    "moon": wilds.paint_moon,
    "autumn forest": wilds.paint_autumn_forest,
    "savanna": wilds.paint_savanna,
    "polar ice": wilds.paint_polar_ice,
    "farm": settlements.paint_farm,
}


def paint_plate(place: int, time: int, *, width: int, height: int, rng: Generator) -> Plate:
    """Draw a plate for a frame of width x height pixels; the plate is OVERSCAN times as wide."""
    side = int(rng.choice([-1, 1]))
    w, h = round(width * OVERSCAN) * _SUPERSAMPLE, height * _SUPERSAMPLE
    sun = w / h * (0.5 + side * rng.uniform(0.22, 0.36))
    canvas = Canvas(w, h, LIGHTS[time], sun, rng)
    paint_sky(canvas)
    _PAINTERS[PLACES[place].name](canvas)
    cover = _downsample(canvas.cover[..., None])
    land = _downsample(canvas.land() * canvas.cover[..., None]) / np.maximum(cover, 1e-3)
    planes = [encode_srgb_array(_downsample(canvas.distance)), encode_srgb_array(land), cover]
    pixels = (np.clip(np.concatenate(planes, -1), 0, 1) * 255).round().astype(np.uint8)
    return Plate(pixels=pixels, sun_side=side)


def _downsample(picture: Array) -> Array:
    """Return a linear picture [H, W, C] averaged down to the size of the frame."""
    planes = torch.from_numpy(np.clip(picture, 0, 1)).permute(2, 0, 1)[None]
    return functional.avg_pool2d(planes, _SUPERSAMPLE)[0].permute(1, 2, 0).numpy()
