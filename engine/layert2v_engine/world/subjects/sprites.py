"""Sprites: one picture posed as a whole, and the shadow of its silhouette.

Sprites hop, drive, fly, float or roll; whatever touches the ground keeps its place on it while it
does. Knows pictures and motion, not what they show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.world.subjects.tracer import ELEVATION
from layert2v_engine.world.text.sprite_words import Sprite

PICTURES = Path(__file__).with_name("pictures")
_SUPERSAMPLE = 2
_SHADOW_ROWS = 6  # samples per row of the strongly foreshortened ground
_DEPTH = 0.22  # how thick a sprite is taken to be for its shadow, share of its width
# Hue in turns that painted sprites turn to, and how much of their saturation and value they keep.
_PAINTS = (
    (0.99, 1.0, 1.0),
    (0.61, 1.0, 1.0),
    (0.14, 1.0, 1.25),
    (0.36, 1.0, 0.85),
    (0, 0.06, 1.35),
)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How a sprite stands in one frame; lengths as shares of its own height."""

    x: float = 0.0  # ahead of its even pace
    lift: float = 0.0
    turn: float = 0.0  # radians, clockwise when it heads right
    tall: float = 1.0  # stretched upwards, and narrower to keep its area


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One cycle of a sprite, and the ground it covers, as a share of its height."""

    poses: tuple[Pose, ...]
    advance: float


def _hop(count: int = 12, air: float = 0.62, height: float = 0.10, way: float = 0.55) -> Motion:
    """Return a hop: first in the air, then on the ground where it came down."""
    poses = []
    for p in np.arange(count) / count:
        flown = min(p / air, 1.0)
        rest = max(0.0, (p - air) / (1 - air))
        poses.append(
            Pose(
                x=way * (flown - p),
                lift=height * math.sin(math.pi * flown),
                turn=0.06 * math.sin(2 * math.pi * flown),
                tall=1 + 0.05 * math.sin(math.pi * flown) - 0.10 * math.sin(math.pi * rest),
            )
        )
    return Motion(poses=tuple(poses), advance=way)


def _drive(count: int = 12, way: float = 1.1) -> Motion:
    waves = [math.sin(4 * math.pi * k / count) for k in range(count)]
    return Motion(poses=tuple(Pose(tall=1 + 0.012 * w) for w in waves), advance=way)


def _roll(count: int = 30) -> Motion:
    turns = [2 * math.pi * k / count for k in range(count)]
    return Motion(poses=tuple(Pose(turn=turn) for turn in turns), advance=math.pi)


def _hover(lift: float, *, sway: float, beats: int, beat: float, way: float) -> Motion:
    poses = []
    for turn in 2 * math.pi * np.arange(12) / 12:
        poses.append(
            Pose(
                lift=lift + 0.05 * math.sin(turn),
                turn=sway * math.sin(turn + 1),
                tall=1 + beat * math.sin(beats * turn),
            )
        )
    return Motion(poses=tuple(poses), advance=way)


_MOTIONS = {
    "hopping": _hop(),
    "driving": _drive(),
    "tumbling": _roll(),
    "flying": _hover(0.50, sway=0.05, beats=3, beat=0.09, way=0.7),
    "floating": _hover(0.36, sway=0.08, beats=1, beat=0.0, way=0.25),
}


def motion_of(sprite: Sprite) -> Motion:
    """Return the motion of a sprite."""
    return _MOTIONS[sprite.action]


def load_picture(sprite: Sprite, color: int = -1) -> Tensor:
    """Return the sprite heading right, cut to its outline: display RGBA [4, h, w] in 0..1."""
    pixels = _read_picture(sprite.picture)
    pixels = pixels if sprite.looks_right else pixels.flip(-1)
    return torch.cat([_recolor(pixels[:3], color), pixels[3:]]) if color >= 0 else pixels


@lru_cache(maxsize=8)
def _read_picture(name: str) -> Tensor:
    with Image.open(PICTURES / f"{name}.webp") as file:
        pixels = torch.from_numpy(np.array(file.convert("RGBA"))).permute(2, 0, 1).float() / 255
    rows, columns = (
        (pixels[3] > 0.05).any(1).nonzero()[:, 0],
        (pixels[3] > 0.05).any(0).nonzero()[:, 0],
    )
    return pixels[:, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]


def _recolor(rgb: Tensor, color: int) -> Tensor:
    """Return RGB with the saturated parts near the most frequent hue turned to another one."""
    hsv = (
        torch.from_numpy(
            np.array(Image.fromarray((rgb.permute(1, 2, 0) * 255).byte().numpy()).convert("HSV"))
        ).float()
        / 255
    )
    hue, saturation, value = hsv.unbind(-1)
    strong = (saturation > 0.45) & (value > 0.3)
    counts = torch.histc(hue[strong], bins=24, min=0, max=1)
    main = (float(counts.argmax()) + 0.5) / 24
    away = ((hue - main + 0.5) % 1 - 0.5).abs()
    share = ((0.13 - away) * 30).clamp(0, 1) * ((saturation - 0.25) * 6).clamp(0, 1)
    target, saturation_factor, value_factor = _PAINTS[color]
    turned = torch.stack(
        [
            torch.full_like(hue, target),
            saturation * saturation_factor,
            (value * value_factor).clamp(0, 1),
        ],
        -1,
    )
    paint = Image.fromarray((turned * 255).byte().numpy(), mode="HSV").convert("RGB")
    painted = torch.from_numpy(np.array(paint)).permute(2, 0, 1).float() / 255
    return torch.lerp(rgb, painted, share)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A canvas of width x height pixels; the sprite's origin on the ground, and its own height."""

    width: int
    height: int
    centre: float
    ground: float
    tall: float  # height of the sprite in pixels


def render(pixels: Tensor, pose: Pose, stage: Stage, throw: tuple[float, float]) -> Tensor:
    """Return one pose as [6, H, W] in 0..1: straight display RGB, alpha, cast and contact shadow.

    ``throw`` is how far a point one unit up throws its shadow to the right and to the viewer.
    """
    linear = torch.cat([decode_srgb(pixels[:3]) * pixels[3:], pixels[3:]])
    size = [
        max(2, round(stage.tall * _SUPERSAMPLE * f)) for f in (1, pixels.shape[2] / pixels.shape[1])
    ]
    reduced = functional.interpolate(linear[None], size, mode="bilinear", antialias=True)[0]
    x, up = _canvas_points(stage, _SUPERSAMPLE, _SUPERSAMPLE)
    seen = functional.avg_pool2d(_sample_pose(reduced, pose, x, up)[None], _SUPERSAMPLE)[0]
    straight = encode_srgb((seen[:3] / seen[3:].clamp_min(1e-4)).clamp(0, 1))
    cast, contact = _shadows(reduced[3:], pose, stage, throw)
    return torch.cat([straight * (seen[3:] > 0), seen[3:], cast[None], contact[None]]).clamp(0, 1)


def _canvas_points(stage: Stage, across: int, down: int) -> tuple[Tensor, Tensor]:
    """Return for every sample how far right of the origin and how high it is, in sprite heights."""
    x = ((torch.arange(stage.width * across) + 0.5) / across - stage.centre) / stage.tall
    up = (stage.ground - (torch.arange(stage.height * down) + 0.5) / down) / stage.tall
    return x[None].expand(len(up), -1), up[:, None].expand(-1, len(x))


def _sample_pose(pixels: Tensor, pose: Pose, x: Tensor, up: Tensor) -> Tensor:
    """Return a posed picture [C, h, w] at points of its upright plane, [C, rows, columns]."""
    aspect = pixels.shape[2] / pixels.shape[1]
    u, v = (x - pose.x) * math.sqrt(pose.tall), (up - pose.lift) / pose.tall - 0.5
    c, s = math.cos(pose.turn), math.sin(pose.turn)
    grid = torch.stack([(c * u - s * v) * 2 / aspect, -(s * u + c * v) * 2], -1)
    return functional.grid_sample(pixels[None], grid[None], align_corners=False)[0]


def _shadows(
    alpha: Tensor, pose: Pose, stage: Stage, throw: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return cast and contact shadow [H, W] of a silhouette [1, h, w] that is a little thick."""
    x, up = _canvas_points(stage, 1, _SHADOW_ROWS)
    foreshortened = math.sin(ELEVATION)
    thick = _DEPTH * alpha.shape[2] / alpha.shape[1]
    cast, contact = torch.zeros_like(x), torch.zeros_like(x)
    foot = _sample_pose(alpha, pose, x, torch.full_like(up, pose.lift + 0.03))[0]
    for z in torch.linspace(-thick, thick, 9).tolist():
        nearer = -up / foreshortened - z  # of the ground point to the viewer, from this slice
        high = nearer / throw[1]
        slice_ = _sample_pose(alpha, pose, x - throw[0] * high, high)[0] * (high >= 0)
        cast = torch.maximum(cast, slice_)
        near = torch.exp(-((nearer / 0.10) ** 2) - 5 * pose.lift)
        contact = torch.maximum(contact, foot * near)
    soft = 1 + round(0.03 * stage.tall)
    return _pool_shadow(cast, 1), _pool_shadow(contact, soft)


def _pool_shadow(samples: Tensor, soft: int) -> Tensor:
    """Return shadow samples as pixels, softened by ``soft`` pixels to the sides."""
    rows = functional.avg_pool2d(samples[None, None], (_SHADOW_ROWS, 1))
    size = (3, 2 * soft + 1)
    return functional.avg_pool2d(rows, size, stride=1, padding=(1, soft))[0, 0]
