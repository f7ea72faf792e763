"""What subjects are put together from: balls, tubes, hair, and materials of random colors."""

from __future__ import annotations

import random

import bpy
import numpy as np

Object = bpy.types.Object
Rng = random.Random
Point = tuple[float, float, float]


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


def ball(at: Point, size: Point, material: bpy.types.Material) -> Object:
    """Return a smooth ball, stretched to half its ``size`` to each side."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=16, location=at)
    made = bpy.context.object
    made.scale = size
    bpy.ops.object.shade_smooth()
    made.data.materials.append(material)
    return made


def hair(rng: Rng, balls: list[Object], length: float, material: bpy.types.Material) -> Object:
    """Return hairs on the balls, bent by a common wind."""
    draw = np.random.default_rng(rng.randrange(2**31))
    hairs = bpy.data.hair_curves.new("hair")
    points, roots = 4, []
    for each in balls:
        scale, center = np.array(each.scale), np.array(each.location)
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


def tube(points: list[Point], radius: float, material: bpy.types.Material | None = None) -> Object:
    """Return a tube along points, open at both ends."""
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 2
    spline = curve.splines.new("POLY")
    spline.points.add(len(points) - 1)
    for point, at in zip(spline.points, points, strict=True):
        point.co = (*at, 1)
    made = bpy.data.objects.new("tube", curve)
    bpy.context.collection.objects.link(made)
    if material is not None:
        curve.materials.append(material)
    return made
