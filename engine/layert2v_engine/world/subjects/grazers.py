"""Hoofed animals beside horse and giraffe: deer, cow, zebra, camel, pig."""

from __future__ import annotations

from dataclasses import replace
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
    wave,
)

DEER = Build(
    length=0.74, chest=0.24, hips=0.21, leg=0.86, thigh=0.125, shin=0.058, neck=0.52,
    neck_angle=1.05, neck_radii=(0.16, 0.11), skull=0.145, muzzle=0.32, muzzle_angle=-0.40,
    muzzle_radii=(0.12, 0.065), coat=(170, 108, 60), sock=(130, 82, 48),
    muzzle_color=(190, 140, 96),
)  # fmt: skip


def build_deer(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a deer in an action; return the ground covered in a cycle, in units."""
    gait, running = GAITS[action], action == "running"
    build = DEER.vary(rng)
    j = add_quadruped(s, build, gait, running)
    horn: Color = (226, 204, 164)
    for side in (1, -1):
        root = j.skull + point(-0.04, 0.11, side * 0.07)
        bend = root + point(-0.20, 0.26, side * 0.16)
        tip = bend + point(0.10, 0.34, side * 0.05)
        s.limb(root, bend, (0.04, 0.035), horn)
        s.limb(bend, tip, (0.035, 0.022), horn)
        s.limb(bend, bend + point(-0.20, 0.16, side * 0.05), (0.032, 0.02), horn)
        s.limb(root + point(-0.08, 0.1, side * 0.06), root + point(0.14, 0.26, side * 0.09),
               (0.032, 0.02), horn)  # fmt: skip
        s.limb(bend + point(0.05, 0.17, side * 0.02), bend + point(-0.12, 0.36, side * 0.05),
               (0.03, 0.02), horn)  # fmt: skip
        ear = j.skull + point(-0.10, 0.06, side * 0.10)
        s.limb(ear, ear + point(-0.17, 0.07, side * 0.08), (0.05, 0.025), build.coat)
    s.ball(j.nose + point(0.05, 0.02, 0), 0.05, DARK)
    add_eyes(s, j.skull + point(0.07, 0.03, 0), 0.12, 0.04)
    s.ball(j.rear + point(-0.20, 0.04, 0), 0.10, (248, 242, 230))
    s.limb(j.rear + point(-0.20, 0.12, 0), j.rear + point(-0.30, 0.08, 0), (0.06, 0.04), build.coat)
    return build.leg * gait.stride / gait.duty


COW = Build(
    length=1.06, chest=0.36, hips=0.35, leg=0.64, thigh=0.17, shin=0.085, neck=0.40,
    neck_angle=0.42, neck_radii=(0.26, 0.19), skull=0.20, muzzle=0.32, muzzle_angle=-0.62,
    muzzle_radii=(0.19, 0.135), coat=(248, 246, 242), sock=(236, 232, 226),
    muzzle_color=(240, 176, 168), spots=True,
)  # fmt: skip


def build_cow(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a cow in an action; return the ground covered in a cycle, in units."""
    gait = replace(GAITS[action], stride=0.8 * GAITS[action].stride, lift=0.8 * GAITS[action].lift)
    build = COW.vary(rng)
    s.pattern, s.spot_color = "blotches", (44, 38, 38)
    j = add_quadruped(s, build, gait, action == "running")
    for side in (1, -1):
        horn = j.skull + point(-0.02, 0.15, side * 0.13)
        bend = horn + point(-0.02, 0.14, side * 0.15)
        s.limb(horn, bend, (0.062, 0.052), (226, 210, 176))
        s.limb(bend, bend + point(0.14, 0.16, side * 0.02), (0.052, 0.018), (236, 224, 196))
        ear = j.skull + point(-0.08, 0.08, side * 0.20)
        s.limb(ear, ear + point(-0.10, -0.04, side * 0.16), (0.07, 0.04), (44, 38, 38))
        s.ball(j.nose + point(0.10, 0.05, side * 0.06), 0.03, (120, 70, 70))
    add_eyes(s, j.skull + point(0.13, 0.06, 0), 0.155, 0.045)
    s.ball(j.rear + point(0.10, -0.30, 0), 0.17, (244, 172, 168))
    tail = j.rear + point(-0.30, 0.16, 0)
    tip = tail + point(-0.10 + 0.08 * wave(0.4), -0.56, 0)
    s.limb(tail, tip, (0.04, 0.03), (232, 228, 222))
    s.limb(tip, tip + point(0, -0.13, 0), (0.06, 0.05), (44, 38, 38))
    return build.leg * gait.stride / gait.duty


ZEBRA = Build(
    length=0.92, chest=0.29, hips=0.29, leg=0.74, thigh=0.155, shin=0.078, neck=0.54,
    neck_angle=0.92, neck_radii=(0.22, 0.15), skull=0.16, muzzle=0.36, muzzle_angle=-0.66,
    muzzle_radii=(0.15, 0.10), coat=(250, 250, 248), sock=(226, 226, 226),
    muzzle_color=(236, 236, 236), spots=True,
)  # fmt: skip


def build_zebra(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a zebra in an action; return the ground covered in a cycle, in units."""
    gait, running = GAITS[action], action == "running"
    build = ZEBRA.vary(rng)
    s.pattern, s.spot_color = "stripes", (22, 22, 26)
    j = add_quadruped(s, build, gait, running)
    crest = (j.neck_base + point(-0.20, 0.20, 0), j.skull + point(-0.13, 0.14, 0))
    s.limb(*crest, (0.06, 0.075), (60, 58, 62), flat=1.5)
    for side in (1, -1):
        root = j.skull + point(-0.05, 0.13, side * 0.08)
        s.limb(root, root + point(-0.02, 0.17, side * 0.02), (0.06, 0.03), (240, 240, 240))
    s.ball(j.nose + point(0.04, 0.0, 0), 0.10, (44, 42, 46))
    add_eyes(s, j.skull + point(0.08, 0.03, 0), 0.135, 0.04)
    root = j.rear + point(-0.26, 0.12, 0)
    tip = root + point(-0.12 + 0.06 * wave(0.5) - (0.2 if running else 0), -0.40, 0)
    s.limb(root, tip, (0.045, 0.035), (236, 236, 236))
    s.limb(tip, tip + point(-0.02, -0.14, 0), (0.06, 0.045), (30, 30, 34))
    return build.leg * gait.stride / gait.duty


CAMEL = Build(
    length=0.84, chest=0.29, hips=0.25, leg=0.92, thigh=0.14, shin=0.08, neck=0.60,
    neck_angle=0.62, neck_radii=(0.18, 0.12), skull=0.145, muzzle=0.30, muzzle_angle=-0.28,
    muzzle_radii=(0.13, 0.10), coat=(204, 160, 100), sock=(190, 148, 92),
    muzzle_color=(214, 174, 118), lean=0.08,
)  # fmt: skip


def build_camel(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a camel in an action; return the ground covered in a cycle, in units."""
    gait = replace(GAITS[action], stride=0.85 * GAITS[action].stride)
    build = CAMEL.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    low = j.neck_base + point(0.16, -0.14, 0)
    s.ball(low, 0.17, build.coat)
    top = (j.rear + j.front) / 2 + point(-0.02, 0.24, 0)
    s.limb(top, top + point(-0.02, 0.30, 0), (0.27, 0.11), (186, 138, 80))
    rise = j.skull + point(0, 0.02, 0)
    for side in (1, -1):
        ear = j.skull + point(-0.08, 0.11, side * 0.09)
        s.limb(ear, ear + point(-0.05, 0.10, side * 0.02), (0.045, 0.025), build.coat)
    add_eyes(s, rise + point(0.07, 0.04, 0), 0.125, 0.04)
    s.ball(j.nose + point(0.08, 0.04, 0), 0.035, (90, 62, 40))
    tail = j.rear + point(-0.24, 0.08, 0)
    s.limb(tail, tail + point(-0.08 + 0.05 * wave(0.4), -0.38, 0), (0.045, 0.05), (160, 116, 66))
    for foot in (0.30, -0.30):
        s.ball((j.rear + j.front) / 2 + point(foot, -0.24, 0), 0.12, build.coat)
    return build.leg * gait.stride / gait.duty


PIG = Build(
    length=0.78, chest=0.37, hips=0.38, leg=0.40, thigh=0.15, shin=0.085, neck=0.24,
    neck_angle=0.15, neck_radii=(0.32, 0.28), skull=0.27, muzzle=0.30, muzzle_angle=-0.18,
    muzzle_radii=(0.19, 0.125), coat=(246, 170, 172), sock=(226, 140, 144),
    muzzle_color=(246, 160, 166),
)  # fmt: skip


def build_pig(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a pig in an action; return the ground covered in a cycle, in units."""
    gait, build = GAITS[action], PIG.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    s.box(j.nose + point(0.10, 0.0, 0), (0.05, 0.12, 0.14), (236, 124, 140), rounding=0.05)
    for side in (1, -1):
        s.ball(j.nose + point(0.15, 0.02, side * 0.05), 0.03, (150, 62, 78))
        ear = j.skull + point(-0.02, 0.20, side * 0.17)
        s.limb(ear, ear + point(0.10, 0.15, side * 0.05), (0.11, 0.03), (232, 130, 142), flat=1.6)
    add_eyes(s, j.skull + point(0.16, 0.09, 0), 0.19, 0.045)
    ring = [
        point(-0.02 - 0.06 * k, 0.07 * np.sin(2.2 * k), 0.05 * np.cos(2.2 * k)) for k in range(5)
    ]
    tail = j.rear + point(-0.36, 0.14 + 0.02 * wave(0.2), 0)
    for a, b in pairwise(ring):
        s.limb(tail + a, tail + b, (0.038, 0.034), (232, 130, 142))
    return build.leg * gait.stride / gait.duty
