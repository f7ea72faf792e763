"""Animals on two legs: ostrich, chicken, duck, dinosaur, and the hopping kangaroo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from layert2v_engine.world.subjects.anatomy import (
    DARK,
    GAITS,
    HOP,
    PHASES,
    BodyBuilder,
    Color,
    Gait,
    Point,
    add_eyes,
    point,
    shade,
    wave,
)


@dataclass(frozen=True, kw_only=True)
class Leg:
    """Proportions of one of two legs, in units."""

    length: float  # hip to ground
    apart: float  # of each hip from the middle
    thigh: float
    shin: float
    toes: float
    colors: tuple[Color, Color]
    knee: int = -1  # which way the joint bends: -1 back as in birds, +1 forward


def _legs(
    s: BodyBuilder, leg: Leg, gait: Gait, hips: Point, offsets: Sequence[float] = (0.0, 0.5)
) -> None:
    """Add two-joint legs whose feet stay on the ground while they carry."""
    for side, offset in zip((1, -1), offsets, strict=True):
        tone = 1.0 if side > 0 else 0.7
        x, y = gait.foot(offset)
        top = hips + point(0, 0, side * leg.apart)
        foot = point(hips[:, 0].mean() + x * leg.length, y * leg.length + leg.shin, top[:, 2])
        reach = foot - top
        far = np.linalg.norm(reach, axis=-1, keepdims=True)
        half = np.maximum(0.53 * leg.length, far / 2)
        bend = np.sqrt(half**2 - far**2 / 4)
        across = np.stack([-reach[:, 1], reach[:, 0], np.zeros(PHASES)], -1) / far
        joint = top + reach / 2 + across * bend * leg.knee
        upper, lower = (shade(color, tone) for color in leg.colors)
        s.limb(top, joint, (leg.thigh, leg.shin * 1.2), upper)
        s.limb(joint, foot, (leg.shin * 1.1, leg.shin), lower)
        s.limb(foot, foot + point(leg.toes, 0, side * 0.02), (leg.shin, leg.shin * 0.9), lower)


def _pace(leg: Leg, gait: Gait) -> float:
    return leg.length * gait.stride / gait.duty


def build_ostrich(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add an ostrich in an action; return the ground covered in a cycle, in units."""
    gait, size = GAITS[action], float(rng.uniform(0.96, 1.04))
    bare: Color = (226, 176, 156)
    leg = Leg(length=0.92 * size, apart=0.13, thigh=0.11, shin=0.05, toes=0.15,
              colors=(bare, bare))  # fmt: skip
    hips = point(0, leg.length + 0.02 * wave(0.1, 2), 0)
    _legs(s, leg, gait, hips)
    s.limb(hips + point(-0.28, 0.16, 0), hips + point(0.20, 0.14, 0), (0.27, 0.25), (40, 38, 42))
    for lift in (0.10, 0.26):
        s.limb(hips + point(-0.36, lift, 0), hips + point(-0.66, lift + 0.10 + 0.03 * wave(0.3), 0),
               (0.13, 0.07), (244, 242, 238))  # fmt: skip
    for side in (1, -1):
        s.limb(hips + point(0.06, 0.14, side * 0.22), hips + point(-0.34, 0.06, side * 0.26),
               (0.13, 0.10), (232, 230, 226), flat=1.6)  # fmt: skip
    base = hips + point(0.34, 0.24, 0)
    middle = base + point(0.16, 0.34 * size, 0)
    head = middle + point(0.04 + 0.03 * wave(0.2, 2), 0.42 * size, 0)
    s.limb(base, middle, (0.11, 0.065), bare)
    s.limb(middle, head, (0.065, 0.055), bare)
    s.limb(head, head + point(0.08, 0.0, 0), (0.10, 0.08), (196, 150, 130))
    s.limb(head + point(0.12, -0.02, 0), head + point(0.30, -0.05, 0), (0.05, 0.02), (236, 168, 70))
    add_eyes(s, head + point(0.06, 0.04, 0), 0.075, 0.035)
    return _pace(leg, gait)


def build_chicken(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a white hen with a red comb."""
    gait = replace(GAITS[action], stride=0.9 * GAITS[action].stride)
    size = float(rng.uniform(0.96, 1.04))
    white, yellow, red = (250, 248, 242), (244, 172, 40), (220, 34, 36)
    leg = Leg(length=0.40 * size, apart=0.14, thigh=0.12, shin=0.042, toes=0.13,
              colors=(white, yellow))  # fmt: skip
    hips = point(0, leg.length + 0.02 * wave(0.1, 2), 0)
    _legs(s, leg, gait, hips)
    s.limb(hips + point(-0.16, 0.20, 0), hips + point(0.16, 0.16, 0), (0.28, 0.30), white)
    for k in range(3):
        s.limb(hips + point(-0.30, 0.26, 0), hips + point(-0.56 + 0.08 * k, 0.44 + 0.11 * k, 0),
               (0.15, 0.06), shade(white, 0.94 - 0.06 * k))  # fmt: skip
    for side in (1, -1):
        s.limb(hips + point(0.08, 0.22, side * 0.25), hips + point(-0.24, 0.16, side * 0.27),
               (0.14, 0.09), (226, 222, 214), flat=1.6)  # fmt: skip
    head = hips + point(0.34 + 0.04 * wave(0.2, 2), 0.66 * size, 0)
    s.limb(hips + point(0.22, 0.28, 0), head, (0.20, 0.13), white)
    s.ball(head, 0.14, white)
    for k in range(3):
        s.ball(head + point(0.08 - 0.09 * k, 0.17 - 0.02 * abs(k - 1), 0), 0.062, red)
    s.limb(head + point(0.12, -0.01, 0), head + point(0.26, -0.04, 0), (0.055, 0.015), yellow)
    s.limb(head + point(0.13, -0.09, 0), head + point(0.13, -0.17, 0), (0.042, 0.05), red)
    add_eyes(s, head + point(0.08, 0.04, 0), 0.105, 0.036)
    return _pace(leg, gait)


def build_duck(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a drake: green head, white ring, broad orange bill."""
    gait, size = GAITS[action], float(rng.uniform(0.96, 1.04))
    green, grey, orange = (22, 110, 62), (186, 180, 172), (246, 146, 32)
    leg = Leg(length=0.28 * size, apart=0.15, thigh=0.11, shin=0.05, toes=0.17,
              colors=(grey, orange))  # fmt: skip
    roll = 0.03 * wave(0.05)
    hips = point(0, leg.length + 0.015 * wave(0.1, 2), 0)
    _legs(s, leg, gait, hips)
    s.limb(hips + point(-0.34, 0.20, roll), hips + point(0.20, 0.14, roll), (0.22, 0.27), grey)
    s.limb(hips + point(0.14, 0.12, 0), hips + point(0.30, 0.20, 0), (0.25, 0.20), (122, 70, 44))
    s.limb(
        hips + point(-0.46, 0.28, roll), hips + point(-0.72, 0.44, roll), (0.14, 0.04), (60, 58, 60)
    )
    for side in (1, -1):
        s.limb(hips + point(0.06, 0.22, side * 0.22), hips + point(-0.40, 0.26, side * 0.20),
               (0.13, 0.05), (142, 132, 122), flat=1.6)  # fmt: skip
    head = hips + point(0.46, 0.62 * size, roll)
    s.limb(hips + point(0.32, 0.26, 0), head, (0.14, 0.10), green)
    s.ball(hips + point(0.37, 0.36, roll), 0.135, (250, 250, 248), flat=1.0)
    s.ball(head, 0.16, green)
    s.limb(head + point(0.14, -0.03, 0), head + point(0.37, -0.06, 0), (0.065, 0.05), orange)
    add_eyes(s, head + point(0.08, 0.05, 0), 0.125, 0.038)
    return _pace(leg, gait)


def build_dinosaur(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a tyrannosaur: heavy head, tiny arms, long tail."""
    gait = replace(GAITS[action], stride=0.85 * GAITS[action].stride)
    size = float(rng.uniform(0.96, 1.04))
    green, pale = (88, 140, 62), (206, 208, 130)
    leg = Leg(length=0.66 * size, apart=0.19, thigh=0.22, shin=0.09, toes=0.20,
              colors=(green, shade(green, 0.85)), knee=1)  # fmt: skip
    hips = point(0, leg.length + 0.03 * wave(0.1, 2), 0)
    _legs(s, leg, gait, hips)
    chest = hips + point(0.36, 0.30, 0)
    s.limb(hips + point(-0.04, 0.10, 0), chest, (0.29, 0.24), green)
    s.limb(hips + point(0.12, 0.00, 0), chest + point(0.10, -0.06, 0), (0.20, 0.16), pale)
    head = chest + point(0.22, 0.38 + 0.02 * wave(0.2, 2), 0)
    s.limb(chest, head, (0.20, 0.17), green)
    s.limb(head, head + point(0.40, -0.02, 0), (0.22, 0.14), green)
    s.limb(
        head + point(0.06, -0.17, 0),
        head + point(0.38, -0.20 + 0.02 * wave(0, 2), 0),
        (0.10, 0.075),
        pale,
    )
    for k in range(4):
        s.ball(head + point(0.16 + 0.08 * k, -0.13, 0.10), 0.024, (252, 252, 246))
    add_eyes(s, head + point(0.06, 0.13, 0), 0.17, 0.05)
    for side in (1, -1):
        arm = chest + point(0.14, -0.02, side * 0.20)
        s.limb(arm, arm + point(0.14, -0.10, side * 0.03), (0.06, 0.042), shade(green, 0.8))
    sway = 0.08 * wave(0.3)
    points = [hips + point(-0.08, 0.08, 0), hips + point(-0.48, 0.08 + 0.4 * sway, 0),
              hips + point(-0.90, 0.16 + sway, 0)]  # fmt: skip
    s.limb(points[0], points[1], (0.26, 0.14), green)
    s.limb(points[1], points[2], (0.14, 0.035), green)
    ridge = [
        points[1] + point(0.1, 0.16, 0),
        points[0] + point(0.05, 0.28, 0),
        chest + point(-0.16, 0.2, 0),
    ]
    for spike in ridge:
        s.limb(spike, spike + point(-0.06, 0.12, 0), (0.06, 0.015), (196, 96, 50))
    return _pace(leg, gait)


def build_kangaroo(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a kangaroo: both hind feet at once, leaning forward at speed; the tail balances."""
    far = action == "running"
    gait = replace(HOP, stride=1.35 if far else 0.95, lift=0.55 if far else 0.40, duty=0.42)
    size = float(rng.uniform(0.96, 1.04))
    coat, belly = (178, 112, 70), (234, 202, 166)
    leg = Leg(length=0.56 * size, apart=0.15, thigh=0.19, shin=0.066, toes=0.30,
              colors=(coat, shade(coat, 0.85)), knee=1)  # fmt: skip
    rise = (0.16 if far else 0.11) * wave(0.50)
    lean = 0.16 if far else 0.0
    hips = point(0, leg.length + 0.02 + rise, 0)
    _legs(s, leg, gait, hips, (0.0, 0.04))
    chest = hips + point(0.30 + lean, 0.52 - lean, 0)
    s.limb(hips + point(0, 0.04, 0), chest, (0.27, 0.17), coat)
    s.limb(hips + point(0.14, 0.04, 0), chest + point(0.08, -0.06, 0), (0.18, 0.12), belly)
    head = chest + point(0.16, 0.36, 0)
    s.limb(chest, head, (0.14, 0.11), coat)
    s.limb(head, head + point(0.26, -0.10, 0), (0.135, 0.075), coat)
    s.ball(head + point(0.31, -0.10, 0), 0.05, DARK)
    for side in (1, -1):
        ear = head + point(-0.05, 0.10, side * 0.07)
        s.limb(
            ear, ear + point(-0.08, 0.27, side * 0.06), (0.062, 0.03), shade(coat, 0.9), flat=1.4
        )
        arm = chest + point(0.08, -0.04, side * 0.15)
        elbow = arm + point(0.14, -0.16, side * 0.02)
        s.limb(arm, elbow, (0.065, 0.05), coat)
        s.limb(elbow, elbow + point(0.13, 0.01, 0), (0.05, 0.04), shade(coat, 0.7))
    add_eyes(s, head + point(0.08, 0.03, 0), 0.115, 0.042)
    middle = hips + point(-0.44, -0.08 - 0.6 * rise, 0)
    tip = point(hips[:, 0] - 0.96, 0.18 + 0.6 * rise - rise.min(), 0)
    s.limb(hips + point(-0.10, 0.0, 0), middle, (0.19, 0.11), coat)
    s.limb(middle, tip, (0.11, 0.045), coat)
    return _pace(leg, gait)
