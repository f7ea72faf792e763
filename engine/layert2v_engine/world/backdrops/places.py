"""Background plates: places at a time of day, wider than the frame so a camera can pan.

Knows pictures without figures. The horizon and the ground where figures stand keep nearly the same
height in all places. A plate has two planes: the distance, and the land in front of it.
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
from layert2v_engine.world.backdrops.scenery import sky
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
    "forest": landscapes.forest,
    "snowy forest": landscapes.snowy_forest,
    "desert": landscapes.desert,
    "beach": landscapes.beach,
    "meadow": landscapes.meadow,
    "city street": settlements.city,
    "mountain lake": wilds.mountain_lake,
    "red canyon": wilds.red_canyon,
    "village": settlements.village,
    "moon": wilds.moon,
    "autumn forest": wilds.autumn_forest,
    "savanna": wilds.savanna,
    "polar ice": wilds.polar_ice,
    "farm": settlements.farm,
}


def plate(place: int, time: int, *, width: int, height: int, rng: Generator) -> Plate:
    """Draw a plate for a frame of width x height pixels; the plate is OVERSCAN times as wide."""
    side = int(rng.choice([-1, 1]))
    w, h = round(width * OVERSCAN) * _SUPERSAMPLE, height * _SUPERSAMPLE
    sun = w / h * (0.5 + side * rng.uniform(0.22, 0.36))
    canvas = Canvas(w, h, LIGHTS[time], sun, rng)
    sky(canvas)
    _PAINTERS[PLACES[place].name](canvas)
    cover = _halved(canvas.cover[..., None])
    land = _halved(canvas.land() * canvas.cover[..., None]) / np.maximum(cover, 1e-3)
    planes = [encode_srgb_array(_halved(canvas.distance)), encode_srgb_array(land), cover]
    pixels = (np.clip(np.concatenate(planes, -1), 0, 1) * 255).round().astype(np.uint8)
    return Plate(pixels=pixels, sun_side=side)


def _halved(picture: Array) -> Array:
    """Linear [H, W, C] averaged down to the size of the frame."""
    planes = torch.from_numpy(np.clip(picture, 0, 1)).permute(2, 0, 1)[None]
    return functional.avg_pool2d(planes, _SUPERSAMPLE)[0].permute(1, 2, 0).numpy()
