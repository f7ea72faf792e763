"""People, vehicles and lattices, put together by script."""

from __future__ import annotations

import math

import bpy

from rendered_clips.parts import Object, Point, Rng, ball, hair, surface, tube


def make_figure(rng: Rng) -> list[Object]:
    """Return a person who walks: clothes, bare arms or not, hair short or long."""
    skin, shirt, trousers, shoes = (surface(rng) for _ in range(4))
    stride, swing, broad = rng.uniform(0.1, 0.4), rng.uniform(-0.4, 0.4), rng.uniform(0.85, 1.25)
    parts = [
        ball((0, 0, 1.22), (0.16 * broad, 0.24 * broad, 0.34), shirt),
        ball((0, 0, 0.92), (0.16 * broad, 0.2 * broad, 0.16), trousers),
        ball((0.02, 0, 1.75), (0.13, 0.11, 0.15), skin),
        tube([(0, 0, 1.5), (0, 0, 1.68)], 0.055, skin),
    ]
    sleeve = shirt if rng.random() < 0.5 else skin
    for side in (-1, 1):
        hip, foot = (0.0, 0.11 * side, 0.88), (stride * side, 0.11 * side, 0.05)
        knee = ((hip[0] + foot[0]) / 2 + 0.08, 0.12 * side, 0.48)
        parts += _limb(hip, knee, foot, 0.085 * broad, trousers)
        parts.append(ball((foot[0] + 0.06, foot[1], 0.05), (0.14, 0.06, 0.06), shoes))
        shoulder = (0.0, 0.25 * side * broad, 1.45)
        raised = rng.uniform(-0.3, 0.5)
        elbow = (-swing * side, shoulder[1] + 0.1 * side, 1.15 + raised * 0.4)
        hand = (
            -swing * side + rng.uniform(0, 0.3),
            elbow[1] + 0.04 * side,
            elbow[2] - 0.22 + raised,
        )
        parts += _limb(shoulder, elbow, hand, 0.05, sleeve)
        parts.append(ball(hand, (0.06, 0.04, 0.07), skin))
    if rng.random() < 0.75:
        parts.append(hair(rng, [parts[2]], rng.uniform(0.04, 0.4), surface(rng)))
    return parts


def _limb(
    start: Point, joint: Point, end: Point, radius: float, material: bpy.types.Material
) -> list[Object]:
    size = (radius, radius, radius)
    return [tube([start, joint, end], radius, material), ball(joint, size, material)]


def make_vehicle(rng: Rng) -> list[Object]:
    """Return a car of boxes with rounded edges, four wheels, and an aerial."""
    paint, glass, rubber = (surface(rng) for _ in range(3))
    glass.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.05
    long, cabin = rng.uniform(0.9, 1.4), rng.uniform(0.4, 0.75)
    parts = [
        _rounded_box((0, 0, 0.55), (long, 0.5, 0.28), paint),
        _rounded_box((-0.1 * long, 0, 0.95), (cabin, 0.44, 0.24), glass),
    ]
    for x in (-0.62 * long, 0.62 * long):
        for y in (-0.5, 0.5):
            bpy.ops.mesh.primitive_cylinder_add(
                radius=0.27, depth=0.16, location=(x, y, 0.27), rotation=(math.pi / 2, 0, 0)
            )
            parts.append(bpy.context.object)
            parts[-1].data.materials.append(rubber)
    tip = (-0.9 * long, 0.3, rng.uniform(1.1, 1.7))
    parts.append(tube([(-0.7 * long, 0.3, 0.8), tip], 0.012, rubber))
    return parts


def _rounded_box(at: Point, half: Point, material: bpy.types.Material) -> Object:
    bpy.ops.mesh.primitive_cube_add(location=at)
    box = bpy.context.object
    box.scale = half
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    edges = box.modifiers.new("edges", "BEVEL")
    edges.width, edges.segments = 0.12, 3
    box.data.materials.append(material)
    return box


def make_lattice(rng: Rng) -> list[Object]:
    """Return a frame with thin bars across, as of a fence, a net or a ladder."""
    metal, wide, tall = surface(rng), rng.uniform(0.4, 1.0), rng.uniform(1.0, 1.9)
    corners: list[Point] = [(-wide, 0, 0.05), (wide, 0, 0.05), (wide, 0, tall), (-wide, 0, tall)]
    parts = [tube([*corners, corners[0]], rng.uniform(0.03, 0.07), metal)]
    slant, thin = rng.uniform(-0.3, 0.3), rng.uniform(0.006, 0.02)
    upright, across = rng.randint(2, 12), rng.randint(1, 10)
    for k in range(1, upright):
        x = wide * (2 * k / upright - 1)
        parts.append(tube([(x, 0, 0.05), (x + slant * (1 - abs(x)), 0, tall)], thin, metal))
    for k in range(1, across):
        height = tall * k / across
        parts.append(tube([(-wide, 0, height), (wide, 0, height)], thin, metal))
    return parts
