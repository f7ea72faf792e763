"""Cats, small and large."""

from __future__ import annotations

from itertools import pairwise

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
    shade,
    wave,
)

CAT = Build(
    length=0.66, chest=0.18, hips=0.19, leg=0.46, thigh=0.115, shin=0.066, neck=0.24,
    neck_angle=0.85, neck_radii=(0.16, 0.15), skull=0.225, muzzle=0.15, muzzle_angle=-0.30,
    muzzle_radii=(0.14, 0.09), coat=(92, 96, 108), sock=(236, 236, 238),
    muzzle_color=(226, 226, 230),
)  # fmt: skip


def build_cat(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a cat in an action; return the ground covered in a cycle, in units."""
    gait, build = GAITS[action], CAT.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    for side in (1, -1):
        root = j.skull + point(-0.03, 0.14, side * 0.13)
        s.limb(root, root + point(-0.01, 0.17, side * 0.03), (0.085, 0.015), build.coat, flat=1.3)
    s.ball(j.nose + point(0.08, 0.04, 0), 0.035, (226, 130, 140))
    for side in (1, -1):
        s.ball(j.skull + point(0.12, 0.06, side * 0.14), 0.055, (150, 206, 96))
        s.ball(j.skull + point(0.155, 0.06, side * 0.155), 0.03, DARK)
    curl = 0.07 * wave(0.3)
    points = [
        j.rear + point(-0.12, 0.06, 0),
        j.rear + point(-0.36, 0.16 + curl, 0),
        j.rear + point(-0.46, 0.48 + curl, 0),
        j.rear + point(-0.34, 0.76 + curl, 0),
    ]
    for a, b in pairwise(points):
        s.limb(a, b, (0.062, 0.058), shade(build.coat, 0.9))
    s.ball(points[-1], 0.062, (236, 236, 238))
    return build.leg * gait.stride / gait.duty


LION = Build(
    length=0.92, chest=0.27, hips=0.23, leg=0.60, thigh=0.155, shin=0.092, neck=0.36,
    neck_angle=0.62, neck_radii=(0.24, 0.20), skull=0.23, muzzle=0.26, muzzle_angle=-0.28,
    muzzle_radii=(0.16, 0.12), coat=(222, 170, 92), sock=(212, 160, 86),
    muzzle_color=(240, 208, 150),
)  # fmt: skip


def build_lion(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a lion in an action; return the ground covered in a cycle, in units."""
    gait, build = GAITS[action], LION.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    mane: Color = (134, 70, 30)
    s.ball(j.skull + point(-0.20, 0.0, 0), 0.42, mane, flat=1.1)
    s.limb(j.skull + point(-0.20, -0.12, 0), j.front + point(0.10, -0.10, 0), (0.34, 0.22), mane)
    s.ball(j.skull + point(0.10, 0.02, 0), 0.235, build.coat)
    for side in (1, -1):
        s.ball(j.skull + point(-0.02, 0.27, side * 0.24), 0.09, (190, 134, 66), flat=1.4)
    s.ball(j.nose + point(0.11, 0.05, 0), 0.05, DARK)
    add_eyes(s, j.skull + point(0.24, 0.09, 0), 0.15, 0.042)
    curl = 0.07 * wave(0.3)
    points = [j.rear + point(-0.16, 0.06, 0), j.rear + point(-0.46, -0.14 + curl, 0),
              j.rear + point(-0.72, 0.0 + curl, 0)]  # fmt: skip
    for a, b in pairwise(points):
        s.limb(a, b, (0.052, 0.045), build.coat)
    s.limb(points[-1], points[-1] + point(-0.14, 0.08, 0), (0.095, 0.06), mane)
    return build.leg * gait.stride / gait.duty


TIGER = Build(
    length=0.98, chest=0.27, hips=0.25, leg=0.58, thigh=0.16, shin=0.094, neck=0.34,
    neck_angle=0.50, neck_radii=(0.24, 0.21), skull=0.25, muzzle=0.22, muzzle_angle=-0.28,
    muzzle_radii=(0.17, 0.13), coat=(238, 134, 40), sock=(240, 150, 60),
    muzzle_color=(252, 244, 230), spots=True, lean=0.10,
)  # fmt: skip


def build_tiger(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a tiger in an action; return the ground covered in a cycle, in units."""
    gait, build = GAITS[action], TIGER.vary(rng)
    s.pattern, s.spot_color = "stripes", (34, 24, 22)
    j = add_quadruped(s, build, gait, action == "running")
    s.limb(
        j.rear + point(0, -0.16, 0), j.front + point(0.02, -0.16, 0), (0.14, 0.16), (252, 240, 220)
    )
    s.ball(j.skull + point(0.05, -0.12, 0), 0.18, (252, 244, 230))
    for side in (1, -1):
        s.ball(j.skull + point(-0.05, 0.23, side * 0.17), 0.085, (226, 120, 34), flat=1.4)
        s.ball(j.skull + point(0.0, 0.24, side * 0.19), 0.04, (250, 236, 220))
    s.ball(j.nose + point(0.10, 0.06, 0), 0.05, (214, 110, 110))
    add_eyes(s, j.skull + point(0.15, 0.09, 0), 0.165, 0.042)
    curl = 0.07 * wave(0.3)
    points = [j.rear + point(-0.18, 0.06, 0), j.rear + point(-0.50, -0.08 + curl, 0),
              j.rear + point(-0.80, 0.16 + curl, 0)]  # fmt: skip
    for k, (a, b) in enumerate(pairwise(points)):
        s.limb(a, b, (0.062, 0.055), build.coat, spots=k == 0)
    s.limb(points[-1], points[-1] + point(-0.06, 0.10, 0), (0.058, 0.045), (34, 24, 22))
    return build.leg * gait.stride / gait.duty
