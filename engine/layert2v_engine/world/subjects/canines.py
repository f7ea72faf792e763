"""Dogs and wolves."""

from __future__ import annotations

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

DOG = Build(
    length=0.62, chest=0.21, hips=0.19, leg=0.48, thigh=0.115, shin=0.074, neck=0.30,
    neck_angle=0.95, neck_radii=(0.16, 0.14), skull=0.20, muzzle=0.28, muzzle_angle=-0.22,
    muzzle_radii=(0.14, 0.10), coat=(206, 142, 72), sock=(250, 246, 238),
    muzzle_color=(250, 244, 234),
)  # fmt: skip


def build_dog(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a beagle: hanging ears, white chest, a tail that stands up, a red collar."""
    gait, build = GAITS[action], DOG.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    saddle: Color = (70, 48, 38)
    s.limb(j.rear + point(-0.02, 0.07, 0), j.front + point(-0.14, 0.07, 0), (0.17, 0.18), saddle)
    s.limb(j.front + point(0.12, -0.06, 0), j.neck_base + point(0.10, 0.06, 0), (0.14, 0.10),
           (250, 246, 238))  # fmt: skip
    flap = 0.04 * wave(0.1)
    for side in (1, -1):
        root = j.skull + point(-0.04, 0.10, side * 0.17)
        s.limb(root, root + point(-0.07 + flap, -0.32, side * 0.05), (0.075, 0.105), (132, 76, 38),
               flat=1.7)  # fmt: skip
    middle = (j.neck_base + j.skull) / 2
    s.limb(
        middle + point(-0.10, 0.03, 0),
        middle + point(0.10, -0.09, 0),
        (0.165, 0.155),
        (206, 36, 36),
    )
    s.ball(j.nose + point(0.10, 0.04, 0), 0.062, DARK)
    add_eyes(s, j.skull + point(0.11, 0.07, 0), 0.135, 0.042)
    wag = 0.09 * wave(0.2, 2)
    tail = j.rear + point(-0.17, 0.10, 0)
    tip = tail + point(-0.16 + wag, 0.42, 0)
    s.limb(tail, tip, (0.062, 0.045), saddle)
    s.limb(tip, tip + point(0.04 + wag, 0.13, 0), (0.052, 0.03), (250, 246, 238))
    return build.leg * gait.stride / gait.duty


WOLF = Build(
    length=0.82, chest=0.25, hips=0.20, leg=0.72, thigh=0.135, shin=0.075, neck=0.38,
    neck_angle=0.42, neck_radii=(0.24, 0.19), skull=0.20, muzzle=0.36, muzzle_angle=-0.20,
    muzzle_radii=(0.145, 0.07), coat=(112, 118, 128), sock=(150, 154, 160),
    muzzle_color=(190, 192, 196), lean=0.10,
)  # fmt: skip


def build_wolf(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a wolf: gray, long-legged, with a shaggy neck, head and tail held low."""
    gait, running = GAITS[action], action == "running"
    build = WOLF.vary(rng)
    j = add_quadruped(s, build, gait, running)
    s.limb(j.rear + point(0, 0.10, 0), j.front + point(0, 0.12, 0), (0.15, 0.19), (78, 82, 92))
    for drop in (-0.02, -0.16):
        s.limb(j.front + point(0.04, drop, 0), j.skull + point(-0.16, drop, 0), (0.22, 0.15),
               (132, 138, 148) if drop < -0.1 else (88, 92, 102))  # fmt: skip
    for side in (1, -1):
        root = j.skull + point(-0.06, 0.13, side * 0.10)
        s.limb(root, root + point(-0.05, 0.18, side * 0.02), (0.075, 0.018), (70, 74, 82), flat=1.4)
    s.ball(j.nose + point(0.06, 0.02, 0), 0.06, DARK)
    for side in (1, -1):
        s.ball(j.skull + point(0.10, 0.06, side * 0.14), 0.048, (246, 206, 70))
        s.ball(j.skull + point(0.135, 0.06, side * 0.15), 0.026, DARK)
    sway = 0.07 * wave(0.5)
    middle = j.rear + point(-0.34, (-0.06 if running else -0.26) + sway, 0)
    tip = middle + point(-0.20, (-0.04 if running else -0.24) + sway, 0)
    s.limb(j.rear + point(-0.12, 0.04, 0), middle, (0.08, 0.13), (100, 106, 116))
    s.limb(middle, tip, (0.13, 0.05), (66, 70, 78))
    return build.leg * gait.stride / gait.duty
