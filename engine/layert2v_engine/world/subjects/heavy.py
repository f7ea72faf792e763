"""Low and heavy animals: sheep, rhinoceros, turtle, crocodile."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from layert2v_engine.world.subjects.anatomy import (
    DARK,
    GAITS,
    BodyBuilder,
    Build,
    Color,
    add_eyes,
    add_quadruped,
    point,
    wave,
)

SHEEP = Build(
    length=0.62, chest=0.34, hips=0.34, leg=0.46, thigh=0.12, shin=0.06, neck=0.30,
    neck_angle=0.55, neck_radii=(0.24, 0.16), skull=0.16, muzzle=0.24, muzzle_angle=-0.60,
    muzzle_radii=(0.15, 0.10), coat=(246, 242, 230), sock=(52, 46, 48),
    muzzle_color=(58, 50, 52),
)  # fmt: skip


def build_sheep(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a cloud of wool on dark legs, with a dark face."""
    gait, build = GAITS[action], SHEEP.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    s.sharpness = 48.0
    centre = (j.rear + j.front) / 2
    for ring, count, out in ((1.0, 13, 0.05), (0.55, 7, 0.26), (0.0, 1, 0.32)):
        for k in range(count):
            turn = 2 * math.pi * (k + ring) / count
            x, y = 0.60 * ring * math.cos(turn), 0.07 + 0.34 * ring * math.sin(turn)
            wool: Color = (252, 249, 240) if k % 2 else (236, 229, 214)
            s.ball(centre + point(x, y, out), 0.15, wool)
    s.ball(j.skull + point(-0.05, 0.12, 0), 0.15, (250, 246, 236))
    s.ball(j.skull + point(0.04, 0.0, 0), 0.155, (58, 50, 52))
    for side in (1, -1):
        ear = j.skull + point(-0.05, 0.02, side * 0.15)
        s.limb(ear, ear + point(-0.12, -0.09, side * 0.07), (0.055, 0.04), (58, 50, 52))
        s.ball(j.skull + point(0.13, 0.04, side * 0.12), 0.046, (244, 240, 230))
        s.ball(j.skull + point(0.155, 0.04, side * 0.135), 0.028, DARK)
    s.ball(j.rear + point(-0.42, 0.04, 0), 0.11, (240, 234, 222))
    return build.leg * gait.stride / gait.duty


RHINO = Build(
    length=0.96, chest=0.42, hips=0.41, leg=0.58, thigh=0.20, shin=0.135, neck=0.44,
    neck_angle=-0.02, neck_radii=(0.36, 0.25), skull=0.25, muzzle=0.38, muzzle_angle=-0.45,
    muzzle_radii=(0.22, 0.17), coat=(128, 126, 130), sock=(112, 110, 114),
    muzzle_color=(136, 132, 134), lean=0.08,
)  # fmt: skip


def build_rhinoceros(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a rhinoceros in an action; return the ground covered in a cycle, in units."""
    gait = replace(GAITS[action], stride=0.7 * GAITS[action].stride, lift=0.6 * GAITS[action].lift)
    build = RHINO.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    ivory: Color = (226, 212, 186)
    horn = j.nose + point(0.10, 0.13, 0)
    s.limb(horn, horn + point(0.17, 0.42, 0), (0.105, 0.015), ivory)
    second = j.skull + point(0.20, 0.17, 0)
    s.limb(second, second + point(0.05, 0.19, 0), (0.075, 0.015), ivory)
    plate: Color = (110, 108, 114)
    s.limb(j.front + point(-0.12, 0.34, 0), j.front + point(-0.04, -0.22, 0), (0.13, 0.26), plate)
    for side in (1, -1):
        ear = j.skull + point(-0.16, 0.20, side * 0.16)
        s.limb(ear, ear + point(-0.05, 0.17, side * 0.03), (0.085, 0.03), (112, 108, 112), flat=1.3)
    add_eyes(s, j.skull + point(0.10, 0.08, 0), 0.21, 0.045)
    tail = j.rear + point(-0.38, 0.12, 0)
    s.limb(tail, tail + point(-0.07 + 0.04 * wave(0.3), -0.34, 0), (0.04, 0.045), (84, 82, 86))
    return build.leg * gait.stride / gait.duty


TURTLE = Build(
    length=0.66, chest=0.16, hips=0.16, leg=0.27, thigh=0.125, shin=0.10, neck=0.34,
    neck_angle=0.48, neck_radii=(0.13, 0.12), skull=0.165, muzzle=0.13, muzzle_angle=-0.15,
    muzzle_radii=(0.13, 0.10), coat=(126, 164, 82), sock=(112, 150, 74),
    muzzle_color=(134, 172, 88), lean=0.05,
)  # fmt: skip


def build_turtle(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a turtle in an action; return the ground covered in a cycle, in units."""
    gait = replace(GAITS[action], stride=0.9, lift=0.22)
    build = TURTLE.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    centre = (j.rear + j.front) / 2
    s.pattern, s.spot_color = "patches", (66, 84, 40)
    s.limb(
        centre + point(-0.20, 0.14, 0),
        centre + point(0.16, 0.14, 0),
        (0.38, 0.38),
        (146, 118, 58),
        spots=True,
    )
    s.limb(
        centre + point(-0.46, -0.06, 0),
        centre + point(0.42, -0.06, 0),
        (0.12, 0.12),
        (214, 188, 112),
        flat=0.34,
    )
    add_eyes(s, j.skull + point(0.08, 0.07, 0), 0.125, 0.04)
    s.limb(
        j.rear + point(-0.26, -0.04, 0), j.rear + point(-0.44, -0.10, 0), (0.06, 0.02), build.coat
    )
    return build.leg * gait.stride / gait.duty


CROCODILE = Build(
    length=0.86, chest=0.18, hips=0.18, leg=0.25, thigh=0.11, shin=0.075, neck=0.28,
    neck_angle=0.08, neck_radii=(0.17, 0.15), skull=0.15, muzzle=0.58, muzzle_angle=-0.03,
    muzzle_radii=(0.125, 0.075), coat=(74, 104, 58), sock=(66, 92, 52),
    muzzle_color=(80, 110, 62), lean=0.0,
)  # fmt: skip


def build_crocodile(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a crocodile in an action; return the ground covered in a cycle, in units."""
    gait = replace(GAITS[action], stride=0.95, lift=0.3)
    build = CROCODILE.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    pale: Color = (206, 204, 138)
    s.limb(j.rear + point(0, -0.09, 0), j.front + point(0.05, -0.09, 0), (0.13, 0.14), pale)
    gape = 0.10 + 0.05 * wave(0.1)
    jaw = j.skull + point(0.03, -0.10, 0)
    s.limb(jaw, jaw + point(0.52, -gape, 0), (0.085, 0.05), pale)
    for k in range(5):
        s.ball(j.skull + point(0.18 + 0.09 * k, -0.095, 0.075), 0.026, (252, 252, 244))
    s.ball(j.nose + point(0.0, 0.06, 0), 0.05, build.coat)
    for side in (1, -1):
        s.ball(j.skull + point(0.02, 0.13, side * 0.08), 0.07, build.coat)
        s.ball(j.skull + point(0.06, 0.14, side * 0.115), 0.042, (240, 206, 60))
        s.ball(j.skull + point(0.085, 0.14, side * 0.13), 0.022, DARK)
    sway = 0.05 * wave(0.3)
    middle = j.rear + point(-0.56, -0.08 + sway, 0)
    tip = middle + point(-0.52, -0.08 + sway, 0)
    s.limb(j.rear, middle, (0.16, 0.095), build.coat)
    s.limb(middle, tip, (0.095, 0.03), build.coat)
    for k in range(9):
        spike = j.front + (tip - j.front) * (k / 8) * 0.9 + point(0, 0.16 - 0.010 * k, 0)
        s.limb(spike, spike + point(-0.04, 0.07, 0), (0.045, 0.015), (50, 74, 40))
    return build.leg * gait.stride / gait.duty
