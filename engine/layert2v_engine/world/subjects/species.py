"""The animals and the car of the world as posable bodies.

Knows what each species looks like and how it carries itself; ``anatomy`` moves it, ``tracer`` draws
it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from layert2v_engine.world.subjects import bipeds, canines, cats, grazers, heavy
from layert2v_engine.world.subjects.anatomy import (
    CYCLE,
    DARK,
    GAITS,
    HOP,
    WALK,
    BodyBuilder,
    Build,
    Color,
    Point,
    add_eyes,
    add_quadruped,
    point,
    shade,
    wave,
)
from layert2v_engine.world.subjects.tracer import Body
from layert2v_engine.world.text.vocabulary import COLORS, SUBJECTS

FOX = Build(
    length=0.76, chest=0.20, hips=0.18, leg=0.66, thigh=0.125, shin=0.072, neck=0.32,
    neck_angle=0.80, neck_radii=(0.18, 0.15), skull=0.22, muzzle=0.38, muzzle_angle=-0.22,
    muzzle_radii=(0.13, 0.05), coat=(226, 106, 34), sock=(60, 38, 32),
    muzzle_color=(245, 226, 204),
)  # fmt: skip


def _build_fox(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a fox in an action; return the ground covered in a cycle, in units."""
    gait, running = GAITS[action], action == "running"
    build = FOX.vary(rng)
    j = add_quadruped(s, build, gait, running)
    s.limb(
        j.front + point(0.12, -0.1, 0),
        j.skull + point(0.06, -0.14, 0),
        (0.15, 0.10),
        (246, 232, 214),
    )
    s.ball(j.nose, 0.06, DARK)
    for side in (1, -1):
        root = j.skull + point(-0.06, 0.14, side * 0.12)
        s.limb(
            root, root + point(-0.05, 0.28, side * 0.03), (0.105, 0.025), (150, 62, 26), flat=1.5
        )
    add_eyes(s, j.skull + point(0.12, 0.06, 0), 0.145, 0.045)
    sway = 0.10 * wave(0.6)
    middle = j.rear + point(-0.42, (0.02 if running else -0.14) + sway, 0)
    tip = middle + point(-0.30, 0.10 + sway, 0)
    s.limb(j.rear + point(-0.1, 0.05, 0), middle, (0.08, 0.17), (214, 96, 30))
    s.limb(middle, tip, (0.17, 0.12), (214, 96, 30))
    s.limb(tip, tip + point(-0.14, 0.05, 0), (0.125, 0.03), (250, 244, 234))
    return build.leg * gait.stride / gait.duty


BEAR = Build(
    length=0.86, chest=0.38, hips=0.38, leg=0.72, thigh=0.21, shin=0.135, neck=0.42,
    neck_angle=0.18, neck_radii=(0.30, 0.25), skull=0.28, muzzle=0.40, muzzle_angle=-0.30,
    muzzle_radii=(0.17, 0.115), coat=(104, 66, 40), sock=(74, 46, 30),
    muzzle_color=(176, 132, 92),
)  # fmt: skip


def _build_bear(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a bear in an action; return the ground covered in a cycle, in units."""
    gait = replace(GAITS[action], stride=0.7 * GAITS[action].stride, lift=0.8 * GAITS[action].lift)
    build = BEAR.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    s.ball(j.front + point(-0.04, 0.20, 0), 0.31, (96, 60, 36))
    for side in (1, -1):
        s.ball(j.skull + point(-0.06, 0.27, side * 0.19), 0.115, (84, 52, 32), flat=1.4)
    s.ball(j.nose + point(0.08, 0.05, 0), 0.075, DARK)
    add_eyes(s, j.skull + point(0.16, 0.09, 0), 0.20, 0.05)
    return build.leg * gait.stride / gait.duty


HORSE = Build(
    length=1.0, chest=0.29, hips=0.29, leg=0.86, thigh=0.16, shin=0.082, neck=0.66,
    neck_angle=0.98, neck_radii=(0.22, 0.14), skull=0.16, muzzle=0.44, muzzle_angle=-0.75,
    muzzle_radii=(0.15, 0.095), coat=(150, 82, 44), sock=(96, 54, 34),
    muzzle_color=(140, 76, 42),
)  # fmt: skip


def _build_horse(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a horse in an action; return the ground covered in a cycle, in units."""
    gait, running = GAITS[action], action == "running"
    build = HORSE.vary(rng)
    j = add_quadruped(s, build, gait, running)
    mane: Color = (44, 30, 26)
    s.limb(
        j.neck_base + point(-0.22, 0.16, 0),
        j.skull + point(-0.14, 0.08, 0),
        (0.07, 0.10),
        mane,
        flat=1.3,
    )
    s.ball(j.skull + point(0.05, 0.13, 0), 0.07, mane)
    for side in (1, -1):
        root = j.skull + point(-0.04, 0.12, side * 0.08)
        s.limb(root, root + point(0.0, 0.17, 0), (0.05, 0.02), build.coat)
    add_eyes(s, j.skull + point(0.07, 0.03, 0), 0.14, 0.04)
    flow = 0.08 * wave(0.5)
    root = j.rear + point(-0.24, 0.14, 0)
    middle = root + (point(-0.36, -0.02 + flow, 0) if running else point(-0.18, -0.22 + flow, 0))
    tip = middle + (point(-0.34, -0.14 + flow, 0) if running else point(-0.06, -0.42 + flow, 0))
    s.limb(root, middle, (0.06, 0.10), mane)
    s.limb(middle, tip, (0.10, 0.05), mane)
    return build.leg * gait.stride / gait.duty


ELEPHANT = Build(
    length=0.80, chest=0.46, hips=0.45, leg=0.92, thigh=0.20, shin=0.165, neck=0.44,
    neck_angle=0.35, neck_radii=(0.38, 0.30), skull=0.36, muzzle=0.22, muzzle_angle=-0.9,
    muzzle_radii=(0.26, 0.18), coat=(142, 144, 154), sock=(130, 132, 142),
    muzzle_color=(142, 144, 154),
)  # fmt: skip


def _build_elephant(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add an elephant in an action; return the ground covered in a cycle, in units."""
    gait = replace(
        GAITS[action], stride=0.62 * GAITS[action].stride, lift=0.55 * GAITS[action].lift
    )
    build = ELEPHANT.vary(rng)
    j = add_quadruped(s, build, gait, action == "running")
    swing = 0.08 * wave(0.3)
    trunk = [
        j.nose,
        j.nose + point(0.17, -0.30, 0),
        j.nose + point(0.22 + swing, -0.66, 0),
        j.nose + point(0.42 + 1.5 * swing, -0.82, 0),
    ]
    for a, b, radii in zip(
        trunk, trunk[1:], ((0.17, 0.13), (0.13, 0.105), (0.105, 0.085)), strict=False
    ):
        s.limb(a, b, radii, (132, 134, 144))
    for side in (1, -1):
        tusk = j.nose + point(0.04, -0.06, side * 0.17)
        s.limb(tusk, tusk + point(0.34, -0.06, side * 0.04), (0.055, 0.03), (250, 244, 226))
        flap = 0.04 * wave(0.2)
        ear = j.skull + point(-0.30, -0.13 if side > 0 else -0.28, side * 0.40)
        s.limb(
            ear + point(0, 0.14, 0),
            ear + point(-0.08 + flap, -0.30, 0),
            (0.33, 0.20),
            (176, 160, 166),
            flat=2.0,
        )
    add_eyes(s, j.skull + point(0.20, 0.06, 0), 0.29, 0.05)
    root = j.rear + point(-0.46, 0.1, 0)
    s.limb(root, root + point(-0.10 + 0.5 * swing, -0.46, 0), (0.05, 0.04), (120, 122, 132))
    return build.leg * gait.stride / gait.duty


RABBIT = Build(
    length=0.48, chest=0.22, hips=0.31, leg=0.36, thigh=0.13, shin=0.075, neck=0.24,
    neck_angle=0.75, neck_radii=(0.18, 0.17), skull=0.215, muzzle=0.16, muzzle_angle=-0.25,
    muzzle_radii=(0.15, 0.11), coat=(206, 202, 200), sock=(226, 224, 222),
    muzzle_color=(232, 230, 228),
)  # fmt: skip


def _build_rabbit(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a rabbit in an action; return the ground covered in a cycle, in units."""
    running = action == "running"
    gait = replace(HOP, stride=1.1, lift=0.6, pitch=0.10) if running else HOP
    build = RABBIT.vary(rng)
    j = add_quadruped(s, build, gait, False)
    s.ball(j.rear + point(-0.02, 0.02, 0.16), 0.27, (196, 192, 190))
    lean = (0.34 if running else 0.14) + 0.06 * wave(0.4)
    for side, tone in ((1, 1.0), (-1, 0.8)):
        root = j.skull + point(-0.06, 0.14, side * 0.09)
        tip = root + point(-lean - 0.05 * side, 0.56 - 0.4 * lean, side * 0.05)
        s.limb(root, tip, (0.075, 0.07), shade(build.coat, tone), flat=1.4)
        s.limb(
            root + point(0.02, 0.1, side * 0.05),
            tip + point(0.02, -0.06, side * 0.05),
            (0.035, 0.03),
            (236, 160, 164),
            flat=1.4,
        )
    s.ball(j.nose + point(0.09, 0.03, 0), 0.045, (226, 120, 130))
    add_eyes(s, j.skull + point(0.10, 0.07, 0), 0.175, 0.05)
    s.ball(j.rear + point(-0.36, 0.05, 0), 0.135, (252, 252, 252))
    return build.leg * gait.stride / gait.duty


GIRAFFE = Build(
    length=0.66, chest=0.27, hips=0.22, leg=1.0, thigh=0.15, shin=0.095, neck=1.22,
    neck_angle=1.12, neck_radii=(0.21, 0.115), skull=0.14, muzzle=0.30, muzzle_angle=-0.45,
    muzzle_radii=(0.13, 0.085), slope=0.10, lean=0.03, coat=(240, 204, 128), sock=(244, 222, 170),
    muzzle_color=(236, 206, 150), spots=True,
)  # fmt: skip


def _build_giraffe(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a giraffe in an action; return the ground covered in a cycle, in units."""
    gait, running = GAITS[action], action == "running"
    gait = replace(gait, stride=0.75 * gait.stride, lift=0.8 * gait.lift)
    build = GIRAFFE.vary(rng)
    s.spot_color = (150, 84, 36)
    j = add_quadruped(s, build, gait, running)
    s.limb(
        j.neck_base + point(-0.2, 0.12, 0),
        j.skull + point(-0.13, 0.0, 0),
        (0.04, 0.045),
        (150, 92, 44),
    )
    for side in (1, -1):
        root = j.skull + point(-0.02, 0.10, side * 0.07)
        s.limb(root, root + point(-0.03, 0.15, 0), (0.03, 0.03), (226, 190, 120))
        s.ball(root + point(-0.03, 0.17, 0), 0.05, (70, 44, 30))
        s.limb(
            root + point(-0.06, -0.06, side * 0.04),
            root + point(-0.18, -0.02, side * 0.12),
            (0.04, 0.03),
            (226, 190, 120),
        )
    add_eyes(s, j.skull + point(0.07, 0.03, 0), 0.12, 0.045)
    tail = j.rear + point(-0.22, 0.05, 0)
    tip = tail + point(-0.14 + 0.06 * wave(0.4), -0.48, 0)
    s.limb(tail, tip, (0.04, 0.035), (226, 190, 120))
    s.limb(tip, tip + point(0, -0.12, 0), (0.055, 0.05), (60, 40, 30))
    return build.leg * gait.stride / gait.duty


def _build_penguin(s: BodyBuilder, rng: np.random.Generator, action: str) -> float:
    """Add a penguin, turned a little to the viewer (``yaw_of``), rocking on its feet."""
    fat, tall = rng.uniform(0.96, 1.04, 2)
    black, white, orange = (36, 40, 54), (250, 250, 248), (248, 150, 32)
    gait = replace(WALK, stride=0.26, lift=0.12)
    roll, rise = 0.09 * wave(0.05), 0.03 * np.abs(wave(0.05))

    def up(x: float, y: float, z: float) -> Point:
        """Return a point of the upper body, rocked about the feet."""
        return point(x + 0.6 * roll * y, y * tall + rise, z + roll * y)

    s.limb(up(-0.03, 0.50, 0), up(0.0, 0.98, 0), (0.40 * fat, 0.29 * fat), black)
    s.limb(up(0.13, 0.46, 0.10), up(0.12, 0.96, 0.07), (0.325 * fat, 0.225 * fat), white)
    s.ball(up(0.05, 1.42, 0), 0.27, black)
    s.ball(up(0.13, 1.37, 0.12), 0.155, white)
    s.limb(up(0.27, 1.42, 0.04), up(0.52, 1.38, 0.06), (0.085, 0.03), orange)
    add_eyes(s, up(0.17, 1.48, 0.02), 0.225, 0.05)
    swing = 0.10 * wave(0.3)
    for side, shift in ((1, swing), (-1, -swing)):
        s.limb(
            up(-0.08, 1.05, side * 0.33),
            up(-0.20, 0.52, side * 0.50) + point(shift, 0, 0),
            (0.10, 0.06),
            (28, 32, 46),
        )
    s.limb(up(-0.30, 0.30, 0), point(-0.52, 0.12, 0), (0.14, 0.04), black)
    for side, offset in ((1, 0.0), (-1, 0.5)):
        x, y = gait.foot(offset)
        foot = point(x + 0.02, y + 0.06, side * 0.2)
        s.limb(foot, foot + point(0.24, -0.005, side * 0.02), (0.085, 0.06), orange)
    return gait.stride / gait.duty


_PAINTS: tuple[Color, ...] = (
    (222, 34, 30), (36, 84, 214), (250, 204, 24), (36, 148, 66), (242, 242, 244),
)  # fmt: skip


def _build_car(s: BodyBuilder, rng: np.random.Generator, color: int) -> float:
    """Add a car in an action; return the ground covered in a cycle, in units."""
    paint = _PAINTS[color]
    wheel, base = 0.235, 0.23 * rng.uniform(0.97, 1.03)
    shake = 0.012 * wave(0, 2)
    roof = 0.76 * rng.uniform(0.96, 1.04)
    s.sharpness = 60.0
    glass: Color = (178, 222, 244)
    s.box(point(0, base + 0.22 + shake, 0), (1.06, 0.215, 0.42), paint, rounding=0.13)
    s.box(point(-0.12, roof + shake, 0), (0.56, 0.24, 0.36), paint, rounding=0.09, taper=0.55)
    for x in (-0.335, 0.095):
        s.box(point(x, roof + 0.015 + shake, 0), (0.19, 0.155, 0.375), glass, rounding=0.03)
    s.ball(point(1.02, base + 0.27 + shake, 0.28), 0.085, (255, 246, 190))
    s.ball(point(-1.04, base + 0.27 + shake, 0.30), 0.07, (140, 16, 20))
    for x in (1.0, -1.0):
        s.box(point(x, base + 0.08 + shake, 0), (0.11, 0.05, 0.43), (96, 98, 104), rounding=0.04)
    for x in (-0.62, 0.64):
        for z in (0.36, -0.36):
            s.ball(point(x, wheel, z), wheel, (34, 34, 38), flat=2.2)
        s.ball(point(x, wheel, 0.42), 0.12, (208, 210, 216), flat=1.6)
        for spoke in range(3):
            turn = -2 * math.pi * (CYCLE + spoke / 3)
            rim = point(x + 0.105 * np.cos(turn), wheel + 0.105 * np.sin(turn), 0.485)
            s.ball(rim, 0.036, (60, 60, 66))
    return 2 * math.pi * wheel


_BUILDERS: dict[str, Callable[[BodyBuilder, np.random.Generator, str], float]] = {
    "fox": _build_fox,
    "bear": _build_bear,
    "horse": _build_horse,
    "elephant": _build_elephant,
    "rabbit": _build_rabbit,
    "giraffe": _build_giraffe,
    "penguin": _build_penguin,
    "deer": grazers.build_deer,
    "cow": grazers.build_cow,
    "zebra": grazers.build_zebra,
    "camel": grazers.build_camel,
    "pig": grazers.build_pig,
    "cat": cats.build_cat,
    "lion": cats.build_lion,
    "dog": canines.build_dog,
    "wolf": canines.build_wolf,
    "tiger": cats.build_tiger,
    "sheep": heavy.build_sheep,
    "rhinoceros": heavy.build_rhinoceros,
    "turtle": heavy.build_turtle,
    "crocodile": heavy.build_crocodile,
    "kangaroo": bipeds.build_kangaroo,
    "ostrich": bipeds.build_ostrich,
    "chicken": bipeds.build_chicken,
    "duck": bipeds.build_duck,
    "dinosaur": bipeds.build_dinosaur,
}

# Share of the canvas (width, height) that the subject must fit into over its whole cycle.
SIZES: dict[str, tuple[float, float]] = {
    "fox": (0.68, 0.60), "bear": (0.62, 0.60), "horse": (0.66, 0.68), "elephant": (0.66, 0.66),
    "rabbit": (0.56, 0.66), "penguin": (0.50, 0.70), "giraffe": (0.60, 0.76), "car": (0.68, 0.60),
    "deer": (0.62, 0.74), "cow": (0.68, 0.60), "zebra": (0.66, 0.66), "camel": (0.66, 0.70),
    "pig": (0.60, 0.54), "cat": (0.58, 0.62), "lion": (0.70, 0.60),
    "dog": (0.58, 0.60), "wolf": (0.68, 0.62), "tiger": (0.72, 0.58), "sheep": (0.58, 0.58),
    "rhinoceros": (0.70, 0.60), "turtle": (0.58, 0.46), "crocodile": (0.80, 0.44),
    "kangaroo": (0.64, 0.70), "ostrich": (0.58, 0.74), "chicken": (0.50, 0.60),
    "duck": (0.54, 0.56), "dinosaur": (0.72, 0.66),
}  # fmt: skip

# Radians every individual of a species is turned to the viewer before jitter.
_YAWS = {"penguin": 0.45, "car": 0.0}


def yaw_of(subject: int) -> float:
    """Return the angle in radians that a subject is turned to the viewer."""
    return _YAWS.get(SUBJECTS[subject].name, 0.10)


def build_body(subject: int, action: str, color: int, rng: np.random.Generator) -> Body:
    """Build an individual in PHASES poses of an action; painted subjects take a color index."""
    builder = BodyBuilder()
    name = SUBJECTS[subject].name
    if name == "car":
        return builder.body(_build_car(builder, rng, max(0, min(color, len(COLORS) - 1))))
    return builder.body(_BUILDERS[name](builder, rng, action))
