"""How bodies are built and how four legs move: primitives, gaits, proportions, a quadruped.

One gait cycle is PHASES poses. Feet follow a closed path: straight back along the ground while they
carry, so a background panned by ``Body.advance`` per cycle does not slide under them; lifted while
they swing. Knows no species.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from layert2v_engine.world.subjects.tracer import Body

PHASES = 12

Array = NDArray[np.float64]
Point = Array  # [PHASES, 3]
Color = tuple[int, int, int]

CYCLE = np.arange(PHASES) / PHASES
DARK: Color = (30, 26, 28)


def point(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> Point:
    """Return a point [PHASES, 3] from numbers or [PHASES] arrays."""
    return np.stack(np.broadcast_arrays(x, y, z, CYCLE)[:3], -1).astype(float)


def wave(shift: float = 0.0, times: int = 1) -> Array:
    """Return a sine over the cycle, ``times`` periods long, [PHASES]."""
    return np.sin(2 * math.pi * (times * CYCLE + shift))


@dataclass(kw_only=True)
class BodyBuilder:
    """Collects primitives and turns them into a Body."""

    capsules: list[tuple[Point, Point, float, float, float, Color, bool]] = field(
        default_factory=list
    )
    boxes: list[tuple[Point, tuple[float, float, float], float, float, Color]] = field(
        default_factory=list
    )
    spot_color: Color = DARK
    pattern: str = "patches"
    sharpness: float = 30.0

    def limb(
        self,
        a: Point,
        b: Point,
        radii: tuple[float, float],
        color: Color,
        *,
        flat: float = 1.0,
        spots: bool = False,
    ) -> None:
        """Add a capsule from ``a`` to ``b``, [PHASES, 3] each."""
        self.capsules.append((a, b, *radii, flat, color, spots))

    def ball(self, centre: Point, radius: float, color: Color, *, flat: float = 1.0) -> None:
        """Add a sphere."""
        self.limb(centre, centre + np.array([1e-3, 0, 0]), (radius, radius), color, flat=flat)

    def box(
        self,
        centre: Point,
        half: tuple[float, float, float],
        color: Color,
        *,
        rounding: float = 0.05,
        taper: float = 0.0,
    ) -> None:
        """Add a rounded box of half sizes ``half``."""
        self.boxes.append((centre, half, rounding, taper, color))

    def body(self, advance: float) -> Body:
        """Return the finished body; needs at least one capsule."""
        start, end, r0, r1, flat, coats, spots = zip(*self.capsules, strict=True)
        box = list(zip(*self.boxes, strict=True)) or [(), (), (), (), ()]
        paint = [*coats, *box[4]]
        return Body(
            start=_tensor(np.stack(start, 1)),
            end=_tensor(np.stack(end, 1)),
            radius=_tensor([r0, r1]).T.contiguous(),
            flatten=_tensor(flat),
            box_centre=_tensor(np.stack(box[0], 1) if self.boxes else np.zeros((PHASES, 0, 3))),
            box_half=_tensor(box[1]).reshape(-1, 3),
            box_round=_tensor(box[2]),
            box_taper=_tensor(box[3]),
            color=_tensor(paint) / 255,
            spotted=_tensor([*spots, *([False] * len(self.boxes))]),
            spot_color=_tensor(self.spot_color) / 255,
            sharpness=self.sharpness,
            advance=advance,
            pattern=self.pattern,
        )


def _tensor(values: object) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def shade(color: Color, by: float) -> Color:
    """Return a color made darker or lighter by a factor."""
    r, g, b = (round(c * by) for c in color)
    return r, g, b


@dataclass(frozen=True, kw_only=True)
class Gait:
    """How four feet take turns; lengths in leg lengths."""

    duty: float  # share of the cycle a foot carries
    stride: float  # ground covered by a carrying foot
    lift: float
    bob: float
    pitch: float
    offsets: tuple[float, float, float, float]  # front near, front far, hind near, hind far

    def foot(self, offset: float) -> tuple[Array, Array]:
        """Return forward and upward position [PHASES] of a foot around its rest position."""
        p = (CYCLE + offset) % 1.0
        swing = np.clip((p - self.duty) / (1 - self.duty), 0, 1)
        carried = 0.5 - p / self.duty
        x = np.where(p < self.duty, carried, -0.5 * np.cos(math.pi * swing))
        return x * self.stride, np.sin(math.pi * swing) * self.lift


WALK = Gait(duty=0.62, stride=0.72, lift=0.16, bob=0.02, pitch=0.0, offsets=(0.0, 0.5, 0.75, 0.25))
RUN = Gait(duty=0.40, stride=0.80, lift=0.42, bob=0.06, pitch=0.06, offsets=(0.0, 0.14, 0.5, 0.62))
HOP = Gait(duty=0.48, stride=0.80, lift=0.40, bob=0.16, pitch=0.14, offsets=(0.0, 0.06, 0.48, 0.50))
GAITS = {"walking": WALK, "running": RUN, "hopping": HOP}


@dataclass(frozen=True, kw_only=True)
class Build:
    """Proportions of a four-legged body, in units."""

    length: float  # shoulder to hip
    chest: float
    hips: float
    leg: float
    thigh: float
    shin: float
    neck: float
    neck_angle: float
    neck_radii: tuple[float, float]
    skull: float
    muzzle: float
    muzzle_angle: float
    muzzle_radii: tuple[float, float]
    coat: Color
    sock: Color
    muzzle_color: Color
    slope: float = 0.0  # how much higher the shoulders are than the hips
    lean: float = 0.18  # how far the neck comes down in a run
    spots: bool = False

    def vary(self, rng: np.random.Generator) -> Build:
        """Return the same species as a slightly different individual."""
        f = rng.uniform(0.96, 1.04, 4)
        return replace(
            self,
            length=self.length * f[0],
            leg=self.leg * f[1],
            chest=self.chest * f[2],
            hips=self.hips * f[2],
            neck=self.neck * f[3],
        )


@dataclass(frozen=True, kw_only=True)
class Joints:
    """Where species details attach."""

    rear: Point
    front: Point
    skull: Point
    nose: Point
    neck_base: Point


def add_quadruped(s: BodyBuilder, build: Build, gait: Gait, running: bool) -> Joints:
    """Add a four-legged body in a gait; return where its details attach."""
    bob, pitch = (
        gait.bob * build.leg * wave(0.1, 2 if not running else 1),
        gait.pitch * wave(0.30),
    )
    height = build.leg + 0.3 * build.hips + bob
    rear = point(-build.length / 2, height - pitch, 0)
    front = point(build.length / 2, height + pitch + build.slope, 0)
    s.limb(rear, front, (build.hips, build.chest), build.coat, spots=build.spots)
    for index, offset in enumerate(gait.offsets):
        _leg(s, build, gait, front if index < 2 else rear, index, offset)
    angle = build.neck_angle - (build.lean if running else 0.0) + 0.05 * wave(0.2)
    base = front + point(build.chest * 0.35, build.chest * 0.35, 0)
    skull = base + point(build.neck * np.cos(angle), build.neck * np.sin(angle), 0)
    s.limb(base, skull, build.neck_radii, build.coat, spots=build.spots)
    s.ball(skull, build.skull, build.coat)
    tilt = build.muzzle_angle + (0.15 if running else 0.0)
    nose = skull + point(build.muzzle * math.cos(tilt), build.muzzle * math.sin(tilt), 0)
    s.limb(skull, nose, build.muzzle_radii, build.muzzle_color)
    return Joints(rear=rear, front=front, skull=skull, nose=nose, neck_base=base)


def _leg(s: BodyBuilder, build: Build, gait: Gait, joint: Point, index: int, offset: float) -> None:
    """Add a two-joint leg by inverse kinematics: the foot's path is given, the knee follows."""
    near, is_front = index % 2 == 0, index < 2
    width = 0.55 * (build.chest if is_front else build.hips)
    x, y = gait.foot(offset)
    top = joint + point(0, -0.25 * build.hips, width if near else -width)
    foot = point(joint[:, 0] + x * build.leg, y * build.leg + build.shin, top[:, 2])
    reach = foot - top
    far = np.linalg.norm(reach, axis=-1, keepdims=True)
    standing = build.leg + 0.05 * build.hips - build.shin
    half = np.maximum(0.52 * standing, far / 2)
    bend = np.sqrt(half**2 - far**2 / 4)
    across = np.stack([-reach[:, 1], reach[:, 0], np.zeros(PHASES)], -1) / far
    knee = top + reach / 2 + across * bend * (1 if is_front else -1)
    tone = 1.0 if near else 0.66
    s.limb(
        top,
        knee,
        (build.thigh, build.shin * 1.15),
        shade(build.coat, tone),
        spots=build.spots and near,
    )
    s.limb(knee, foot, (build.shin * 1.05, build.shin), shade(build.sock, tone))
    s.ball(foot + point(build.shin * 0.5, 0, 0), build.shin, shade(build.sock, tone))


def add_eyes(s: BodyBuilder, between: Point, across: float, radius: float) -> None:
    """Add two eyes at both sides of a point."""
    for side in (1, -1):
        s.ball(between + point(0, 0, side * across), radius, DARK)
