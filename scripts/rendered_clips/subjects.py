"""Subjects made by script: what mattes are hard for is among them (fur, thin parts, veils)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import bpy
import numpy as np

Object = bpy.types.Object
Rng = random.Random


def make_subject(kind: str, rng: Rng) -> Object:
    """Return an empty that moves the parts of a new subject about 2 units high, feet at 0."""
    root = bpy.data.objects.new("subject", None)
    bpy.context.collection.objects.link(root)
    for part in _MAKERS[kind](rng):
        part.parent = root
    return root


def surface(rng: Rng, *, alpha: float = 1.0) -> bpy.types.Material:
    """Return a material of a random color, patterned every other time."""
    material = bpy.data.materials.new("surface")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    color = [rng.uniform(0.02, 0.8) for _ in range(3)]
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value = rng.uniform(0.2, 0.9)
    shader.inputs["Metallic"].default_value = float(rng.random() < 0.15)
    shader.inputs["Alpha"].default_value = alpha
    if rng.random() < 0.5:
        pattern = nodes.new(rng.choice(["ShaderNodeTexNoise", "ShaderNodeTexVoronoi"]))
        pattern.inputs["Scale"].default_value = rng.uniform(2, 12)
        mix = nodes.new("ShaderNodeMix")
        mix.data_type = "RGBA"
        mix.inputs["A"].default_value = (*color, 1)
        mix.inputs["B"].default_value = (*[rng.uniform(0.02, 0.8) for _ in range(3)], 1)
        links.new(pattern.outputs[0], mix.inputs["Factor"])
        links.new(mix.outputs["Result"], shader.inputs["Base Color"])
    return material


def _ball(
    rng: Rng, at: tuple[float, float, float], size: tuple[float, float, float],
    material: bpy.types.Material,
) -> Object:  # fmt: skip
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=16, location=at)
    ball = bpy.context.object
    ball.scale = size
    bpy.ops.object.shade_smooth()
    ball.data.materials.append(material)
    return ball


def _hair(rng: Rng, balls: list[Object], length: float, material: bpy.types.Material) -> Object:
    """Return hairs on the balls, bent by a common wind."""
    draw = np.random.default_rng(rng.randrange(2**31))
    hairs = bpy.data.hair_curves.new("hair")
    points, roots = 4, []
    for ball in balls:
        scale, center = np.array(ball.scale), np.array(ball.location)
        count = int(900 * scale.max())
        normal = draw.normal(size=(count, 3))
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        reach = length * draw.uniform(0.5, 1.2, (count, 1))
        wind = np.array([*draw.uniform(-0.5, 0.5, 2), -0.4]) + draw.normal(0, 0.25, (count, 3))
        steps = np.linspace(0, 1, points)
        roots += [
            center + normal * scale * 0.98 + reach * (s * normal + s * s * wind) for s in steps
        ]
    blocks = [np.stack(roots[i : i + points], 1) for i in range(0, len(roots), points)]
    strands = np.concatenate(blocks)  # [hairs, points, 3]
    hairs.add_curves([points] * len(strands))
    hairs.attributes["position"].data.foreach_set("vector", strands.astype(np.float32).ravel())
    radius = hairs.attributes.new("radius", "FLOAT", "POINT")
    thickness = rng.uniform(0.004, 0.01)
    taper = np.tile(np.linspace(1, 0.2, points, dtype=np.float32) * thickness, len(strands))
    radius.data.foreach_set("value", taper)
    hairs.materials.append(material)
    made = bpy.data.objects.new("hair", hairs)
    bpy.context.collection.objects.link(made)
    return made


def _creature(rng: Rng) -> list[Object]:
    """Return a body, a head and four legs of balls."""
    coat = surface(rng)
    long, tall = rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.55)
    parts = [_ball(rng, (0, 0, 0.75 + tall / 2), (long, 0.35, tall), coat)]
    parts.append(_ball(rng, (long * 1.1, 0, 1.35 + tall / 2), (0.32, 0.27, 0.3), coat))
    for x in (-0.7, 0.7):
        for y in (-0.2, 0.2):
            spot = (x * long + rng.uniform(-0.1, 0.1), y, 0.4)
            parts.append(_ball(rng, spot, (0.09, 0.09, 0.42), coat))
    return parts


def _furry(rng: Rng) -> list[Object]:
    parts = _creature(rng)
    return [*parts, _hair(rng, parts[:2], rng.uniform(0.12, 0.4), parts[0].data.materials[0])]


def _tube(points: list[tuple[float, float, float]], radius: float, rng: Rng) -> Object:
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 2
    spline = curve.splines.new("POLY")
    spline.points.add(len(points) - 1)
    for point, at in zip(spline.points, points, strict=True):
        point.co = (*at, 1)
    made = bpy.data.objects.new("tube", curve)
    bpy.context.collection.objects.link(made)
    return made


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
        tubes.append(_tube([start, end], 0.05 * reach, rng))
        for _ in range(3 if reach > 0.3 else 0):
            grow(end, lean + rng.uniform(-0.9, 0.9), rng.uniform(0, 6.3), reach * 0.62)

    grow((0, 0, 0), 0, 0, 0.85)
    for tube in tubes:
        tube.data.materials.append(bark)
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
        _tube([(0, 0, 1), (0.95 * math.cos(a), 0, 1 + 0.95 * math.sin(a))], 0.012, rng)
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
        blades.append(_tube(way, rng.uniform(0.008, 0.03), rng))
        blades[-1].data.materials.append(green)
    return blades


_MAKERS: dict[str, Callable[[Rng], list[Object]]] = {
    "furry": _furry,
    "creature": _creature,
    "branches": _branches,
    "head": _head,
    "veil": _veil,
    "wheel": _wheel,
    "tuft": _tuft,
}
TRAINED_KINDS = ("furry", "creature", "branches", "head", "veil")
KINDS = tuple(_MAKERS)  # those that are not trained on are in the test clips alone
