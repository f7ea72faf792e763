"""Subjects as drawn pixels: one cycle of an animal or a sprite, with its shadow, in one light.

Knows how large a subject is in a frame and how far its shadow reaches; not where it will stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.world.subjects import species, sprites, tracer
from layert2v_engine.world.text.sprite_words import SPRITES, Sprite
from layert2v_engine.world.text.vocabulary import SUBJECTS

# How much longer a soft shadow is than that of a point light, share of the height of the subject.
_PENUMBRA = 0.26
# How far a point one unit up throws its shadow sideways and towards the viewer: high and low light.
_THROWS = {False: (0.45, 0.50), True: (1.00, 0.35)}
_SPRITES = {sprite.name: sprite for sprite in SPRITES}


@dataclass(frozen=True, kw_only=True)
class SubjectVariant:
    """Which subject in which light: the sun stands to the left (-1) or right (+1), high or low."""

    subject: int
    color: int
    action: str
    sun_side: int
    low_sun: bool


@dataclass(frozen=True, kw_only=True)
class RenderedCycle:
    """One cycle of a subject that heads right, and where its origin on the ground is."""

    frames: Tensor  # [poses, 6, H, W]: straight display RGB, alpha, cast and contact shadow; 0..1
    column: float
    row: float
    advance: float  # ground covered in the cycle, pixels


def render_cycle(
    variant: SubjectVariant, width: int, height: int, rng: np.random.Generator
) -> RenderedCycle:
    """Render an individual of a subject, as large as it is close up in a frame.

    The frame is ``width`` x ``height`` pixels.
    """
    name = SUBJECTS[variant.subject].name
    if name in _SPRITES:
        return _render_sprite(_SPRITES[name], variant, width, height, rng)
    return _render_animal(variant, width, height, rng)


def _render_animal(
    variant: SubjectVariant, width: int, height: int, rng: np.random.Generator
) -> RenderedCycle:
    build_body = species.build_body(variant.subject, variant.action, variant.color, rng)
    yaw = species.yaw_of(variant.subject) + rng.uniform(-0.07, 0.07)
    left, right, bottom, top = tracer.extent(build_body, yaw)
    share = species.SIZES[SUBJECTS[variant.subject].name]
    scale = min(share[0] * width / (right - left), share[1] * height / (top - bottom))
    scale *= rng.uniform(0.94, 1.06)
    sideways, forward = _THROWS[variant.low_sun]
    beside = (sideways + _PENUMBRA) * top
    near = float((build_body.end[..., 2] + build_body.radius[:, 1] / build_body.flatten).max())
    below = (near + (forward + _PENUMBRA) * top) * math.sin(tracer.ELEVATION)
    view = tracer.View(
        width=math.ceil((right - left + 2 * beside) * scale) + 2,
        height=math.ceil((top + below) * scale) + 3,
        centre=(beside - left) * scale + 1,
        ground=top * scale + 2,
        scale=scale,
        yaw=yaw,
    )
    sun = (variant.sun_side * sideways, 1.0, -forward)
    with torch.inference_mode():
        frames = torch.stack(
            [tracer.render(build_body, pose, view, sun) for pose in range(build_body.poses)]
        )
    return RenderedCycle(
        frames=frames, column=view.centre, row=view.ground, advance=build_body.advance * scale
    )


def _render_sprite(
    sprite: Sprite, variant: SubjectVariant, width: int, height: int, rng: np.random.Generator
) -> RenderedCycle:
    pixels, motion_of = sprites.load_picture(sprite, variant.color), sprites.motion_of(sprite)
    aspect = pixels.shape[2] / pixels.shape[1]
    tall = min(sprite.size[0] * width / aspect, sprite.size[1] * height) * rng.uniform(0.94, 1.06)
    lift = max(pose.lift for pose in motion_of.poses)
    sideways, forward = _THROWS[variant.low_sun]
    reach = max(aspect, 1.0) / 2 + 0.4 + sideways * (1.1 + lift)
    below = (forward * (1.1 + lift) + 0.3) * math.sin(tracer.ELEVATION)
    stage = sprites.Stage(
        width=math.ceil(2 * reach * tall) + 2,
        height=math.ceil((1.25 + lift + below) * tall) + 4,
        centre=reach * tall + 1,
        ground=(1.25 + lift) * tall + 2,
        tall=tall,
    )
    throw = (-variant.sun_side * sideways, forward)
    with torch.inference_mode():
        frames = torch.stack(
            [sprites.render(pixels, pose, stage, throw) for pose in motion_of.poses]
        )
    return RenderedCycle(
        frames=frames, column=stage.centre, row=stage.ground, advance=motion_of.advance * tall
    )
