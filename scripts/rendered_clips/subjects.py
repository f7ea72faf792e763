"""Subjects made by script: what mattes are hard for is among them (fur, thin parts, veils)."""

from __future__ import annotations

import math
from collections.abc import Callable

import bpy

from rendered_clips.figures import make_figure, make_lattice, make_vehicle
from rendered_clips.parts import Object, Rng, ball, hair, surface, tube


def make_subject(kind: str, rng: Rng) -> Object:
    """Return an empty that moves the parts of a new subject about 2 units high, feet at 0."""
    root = bpy.data.objects.new("subject", None)
    bpy.context.collection.objects.link(root)
    for part in _MAKERS[kind](rng):
        part.parent = root
    return root


def _creature(rng: Rng) -> list[Object]:
    """Return a body, a head and four legs of balls."""
    coat = surface(rng)
    long, tall = rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.55)
    parts = [ball((0, 0, 0.75 + tall / 2), (long, 0.35, tall), coat)]
    parts.append(ball((long * 1.1, 0, 1.35 + tall / 2), (0.32, 0.27, 0.3), coat))
    for x in (-0.7, 0.7):
        for y in (-0.2, 0.2):
            spot = (x * long + rng.uniform(-0.1, 0.1), y, 0.4)
            parts.append(ball(spot, (0.09, 0.09, 0.42), coat))
    return parts


def _furry(rng: Rng) -> list[Object]:
    parts = _creature(rng)
    return [*parts, hair(rng, parts[:2], rng.uniform(0.12, 0.4), parts[0].data.materials[0])]


def _branches(rng: Rng) -> list[Object]:
    """Return a small tree without leaves, or with some."""
    bark, tubes = surface(rng), []

    def grow(start: tuple[float, float, float], lean: float, turn: float, reach: float) -> None:
        x, y, z = start
        sideways = math.sin(lean)
        end = (
            x + reach * sideways * math.cos(turn),
            y + reach * sideways * math.sin(turn),
            z + reach * math.cos(lean),
        )
        tubes.append(tube([start, end], 0.05 * reach, bark))
        for _ in range(3 if reach > 0.3 else 0):
            grow(end, lean + rng.uniform(-0.9, 0.9), rng.uniform(0, 6.3), reach * 0.62)

    grow((0, 0, 0), 0, 0, 0.85)
    return tubes


def _wheel(rng: Rng) -> list[Object]:
    """Return a rim with thin spokes."""
    metal, count = surface(rng), rng.randint(8, 22)
    bpy.ops.mesh.primitive_torus_add(
        major_radius=0.95, minor_radius=rng.uniform(0.03, 0.09), location=(0, 0, 1),
        rotation=(math.pi / 2, 0, 0),
    )  # fmt: skip
    rim = bpy.context.object
    spokes = [
        tube([(0, 0, 1), (0.95 * math.cos(a), 0, 1 + 0.95 * math.sin(a))], 0.012)
        for a in (math.tau * k / count for k in range(count))
    ]
    for part in (rim, *spokes):
        part.data.materials.append(metal)
    return [rim, *spokes]


def _head(rng: Rng) -> list[Object]:
    bpy.ops.mesh.primitive_monkey_add(size=1.7, location=(0, 0, 0.95))
    head = bpy.context.object
    head.modifiers.new("smooth", "SUBSURF").render_levels = 1
    head.rotation_euler = (rng.uniform(-0.4, 0.2), 0, rng.uniform(-0.8, 0.8))
    head.data.materials.append(surface(rng))
    return [head]


def _veil(rng: Rng) -> list[Object]:
    """Return a body under a wavy cloth that lets light through."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=40, y_subdivisions=40, size=1.8)
    cloth = bpy.context.object
    phase, tilt = rng.uniform(0, 6), rng.uniform(-0.3, 0.3)
    for vertex in cloth.data.vertices:
        x, y, _ = vertex.co
        vertex.co.z = 0.12 * math.sin(5 * x + phase) + 0.1 * math.sin(4 * y + 2 * x)
    cloth.location, cloth.rotation_euler = (0.2, -0.45, 1.1), (math.pi / 2, tilt, 0)
    bpy.ops.object.shade_smooth()
    cloth.data.materials.append(surface(rng, alpha=rng.uniform(0.35, 0.75)))
    return [*_creature(rng), cloth]


def _tuft(rng: Rng) -> list[Object]:
    """Return a bunch of narrow blades."""
    green, blades = surface(rng), []
    for _ in range(rng.randint(25, 60)):
        turn, reach = rng.uniform(0, 6.3), rng.uniform(0.2, 0.9)
        height = rng.uniform(0.8, 1.9)
        way = [(s * s * reach * math.cos(turn), s * s * reach * math.sin(turn), s * height)
               for s in (0, 0.25, 0.5, 0.75, 1)]  # fmt: skip
        blades.append(tube(way, rng.uniform(0.008, 0.03), green))
    return blades


_MAKERS: dict[str, Callable[[Rng], list[Object]]] = {
    "furry": _furry,
    "creature": _creature,
    "branches": _branches,
    "head": _head,
    "veil": _veil,
    "figure": make_figure,
    "vehicle": make_vehicle,
    "lattice": make_lattice,
    "wheel": _wheel,
    "tuft": _tuft,
}
TRAINED_KINDS = (
    "figure", "furry", "vehicle", "branches", "lattice", "veil", "figure", "creature", "head",
)  # fmt: skip
TEST_KINDS = ("furry", "creature", "branches", "head", "veil", "wheel", "tuft")  # two are unseen
