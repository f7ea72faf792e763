"""Cats, small and large."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .anatomy import DARK, GAITS, Build, Colour, Sculpt, at, eyes, quadruped, shade, wave

CAT = Build(
    length=0.66, chest=0.18, hips=0.19, leg=0.46, thigh=0.115, shin=0.066, neck=0.24,
    neck_angle=0.85, neck_radii=(0.16, 0.15), skull=0.225, muzzle=0.15, muzzle_angle=-0.30,
    muzzle_radii=(0.14, 0.09), coat=(92, 96, 108), sock=(236, 236, 238),
    muzzle_colour=(226, 226, 230),
)  # fmt: skip


def cat(s: Sculpt, rng: np.random.Generator, action: str) -> float:
    gait, build = GAITS[action], CAT.varied(rng)
    j = quadruped(s, build, gait, action == "running")
    for side in (1, -1):
        root = j.skull + at(-0.03, 0.14, side * 0.13)
        s.limb(root, root + at(-0.01, 0.17, side * 0.03), (0.085, 0.015), build.coat, flat=1.3)
    s.ball(j.nose + at(0.08, 0.04, 0), 0.035, (226, 130, 140))
    for side in (1, -1):
        s.ball(j.skull + at(0.12, 0.06, side * 0.14), 0.055, (150, 206, 96))
        s.ball(j.skull + at(0.155, 0.06, side * 0.155), 0.03, DARK)
    curl = 0.07 * wave(0.3)
    points = [j.rear + at(-0.12, 0.06, 0), j.rear + at(-0.36, 0.16 + curl, 0),
              j.rear + at(-0.46, 0.48 + curl, 0), j.rear + at(-0.34, 0.76 + curl, 0)]  # fmt: skip
    for a, b in pairwise(points):
        s.limb(a, b, (0.062, 0.058), shade(build.coat, 0.9))
    s.ball(points[-1], 0.062, (236, 236, 238))
    return build.leg * gait.stride / gait.duty


LION = Build(
    length=0.92, chest=0.27, hips=0.23, leg=0.60, thigh=0.155, shin=0.092, neck=0.36,
    neck_angle=0.62, neck_radii=(0.24, 0.20), skull=0.23, muzzle=0.26, muzzle_angle=-0.28,
    muzzle_radii=(0.16, 0.12), coat=(222, 170, 92), sock=(212, 160, 86),
    muzzle_colour=(240, 208, 150),
)  # fmt: skip


def lion(s: Sculpt, rng: np.random.Generator, action: str) -> float:
    gait, build = GAITS[action], LION.varied(rng)
    j = quadruped(s, build, gait, action == "running")
    mane: Colour = (134, 70, 30)
    s.ball(j.skull + at(-0.20, 0.0, 0), 0.42, mane, flat=1.1)
    s.limb(j.skull + at(-0.20, -0.12, 0), j.front + at(0.10, -0.10, 0), (0.34, 0.22), mane)
    s.ball(j.skull + at(0.10, 0.02, 0), 0.235, build.coat)
    for side in (1, -1):
        s.ball(j.skull + at(-0.02, 0.27, side * 0.24), 0.09, (190, 134, 66), flat=1.4)
    s.ball(j.nose + at(0.11, 0.05, 0), 0.05, DARK)
    eyes(s, j.skull + at(0.24, 0.09, 0), 0.15, 0.042)
    curl = 0.07 * wave(0.3)
    points = [j.rear + at(-0.16, 0.06, 0), j.rear + at(-0.46, -0.14 + curl, 0),
              j.rear + at(-0.72, 0.0 + curl, 0)]  # fmt: skip
    for a, b in pairwise(points):
        s.limb(a, b, (0.052, 0.045), build.coat)
    s.limb(points[-1], points[-1] + at(-0.14, 0.08, 0), (0.095, 0.06), mane)
    return build.leg * gait.stride / gait.duty
