"""Render short clips with true layers: subject with alpha, clean plate, plate under the shadow.

python -m rendered_clips.render --out FOLDER [--first 0] [--count 80] [--frames 2] [--test]

Runs where ``bpy`` is, from the folder ``scripts``. Each clip is a folder with three pictures a
frame, EXR, half, scene-linear Rec.709; finished clips are left as they are.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

import bpy

from rendered_clips.parts import surface
from rendered_clips.subjects import TEST_KINDS, TRAINED_KINDS, make_subject

TEST_SEED = 1_000_000  # seeds from here on are never trained on
GROUNDS = ("ShaderNodeTexNoise", "ShaderNodeTexChecker", "ShaderNodeTexVoronoi")
TEST_GROUNDS = ("ShaderNodeTexBrick", "ShaderNodeTexWave", *GROUNDS)


def main() -> None:
    """Render the clips that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--width", type=int, default=288)
    parser.add_argument("--height", type=int, default=176)
    parser.add_argument("--samples", type=int, default=14)
    parser.add_argument("--test", action="store_true", help="seeds and kinds never trained on")
    args = parser.parse_args()
    for index in range(args.first, args.first + args.count):
        folder = args.out / f"clip_{index:04d}"
        if (folder / "clip.json").exists():
            continue
        rng = random.Random(TEST_SEED + index if args.test else index)
        kinds = TEST_KINDS if args.test else TRAINED_KINDS
        render_clip(folder, kinds[index % len(kinds)], rng, args)
        print(folder, flush=True)


def render_clip(folder: Path, kind: str, rng: random.Random, args: argparse.Namespace) -> None:
    """Write one clip into ``folder``; its ``clip.json`` comes last."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
    scene = bpy.context.scene
    _set_up_renderer(scene, rng, args)
    _light(scene, rng)
    surroundings = _surroundings(rng, TEST_GROUNDS if args.test else GROUNDS)
    subject = make_subject(kind, rng)
    _animate(subject, rng, args.frames)
    _camera(scene, rng, args.frames)
    parts = subject.children_recursive
    for frame in range(args.frames):
        scene.frame_set(frame + 1)
        for name, is_subject, is_camera_visible, is_transparent in (
            ("subject", True, True, True),
            ("plate", False, False, False),
            ("shadowed", True, False, False),
        ):
            for part in parts:
                part.hide_render, part.visible_camera = not is_subject, is_camera_visible
            for thing in surroundings:
                thing.visible_camera = not is_transparent
            scene.render.film_transparent = is_transparent
            scene.cycles.use_denoising = not is_transparent  # fine hair is not noise
            scene.render.filepath = str(folder / f"{name}.{frame + 1:04d}.exr")
            bpy.ops.render.render(write_still=True)
    about = {"kind": kind, "frames": args.frames, "test": args.test}
    (folder / "clip.json").write_text(json.dumps(about), encoding="utf-8")


def _set_up_renderer(scene: bpy.types.Scene, rng: random.Random, args: argparse.Namespace) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples = args.samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces, scene.cycles.transparent_max_bounces = 3, 8
    scene.render.use_motion_blur = rng.random() < 0.6
    scene.render.motion_blur_shutter = rng.uniform(0.3, 1.0)
    scene.render.resolution_x, scene.render.resolution_y = args.width, args.height
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "16"


def _light(scene: bpy.types.Scene, rng: random.Random) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True  # before Blender 5 a new one has none
    sky = world.node_tree.nodes["Background"]
    tint = [rng.uniform(0.5, 1.0) for _ in range(3)]
    sky.inputs["Color"].default_value = (*tint, 1)
    sky.inputs["Strength"].default_value = rng.uniform(0.15, 0.9)
    lamp = bpy.data.lights.new("lamp", "SUN")
    lamp.energy, lamp.angle = rng.uniform(0.3, 4.0), rng.uniform(0.01, 0.5)
    lamp.color = [rng.uniform(0.75, 1.0) for _ in range(3)]
    sun = bpy.data.objects.new("lamp", lamp)
    sun.rotation_euler = (rng.uniform(0.3, 1.2), 0, rng.uniform(0, math.tau))
    scene.collection.objects.link(sun)


def _surroundings(rng: random.Random, grounds: tuple[str, ...]) -> list[bpy.types.Object]:
    """Return ground, wall and things that stand behind the subject."""
    bpy.ops.mesh.primitive_plane_add(size=80)
    things = [bpy.context.object]
    if rng.random() < 0.6:
        bpy.ops.mesh.primitive_plane_add(
            size=80, location=(0, rng.uniform(3, 9), 0), rotation=(math.pi / 2, 0, 0)
        )
        things.append(bpy.context.object)
    for thing in things:
        thing.data.materials.append(_make_textured(rng, rng.choice(grounds)))
    for _ in range(rng.randint(0, 6)):
        make = rng.choice(
            [bpy.ops.mesh.primitive_cube_add, bpy.ops.mesh.primitive_cylinder_add,
             bpy.ops.mesh.primitive_uv_sphere_add]
        )  # fmt: skip
        size = rng.uniform(0.2, 1.2)
        make(location=(rng.uniform(-4, 4), rng.uniform(1.5, 5), size * 0.9))
        thing = bpy.context.object
        thing.scale = [size * rng.uniform(0.5, 1.2) for _ in range(3)]
        thing.rotation_euler = (0, 0, rng.uniform(0, 3))
        thing.data.materials.append(surface(rng))
        things.append(thing)
    return things


def _make_textured(rng: random.Random, texture: str) -> bpy.types.Material:
    material = surface(rng)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    shader.inputs["Metallic"].default_value = 0
    for link in list(shader.inputs["Base Color"].links):
        links.remove(link)
    where, pattern = nodes.new("ShaderNodeTexCoord"), nodes.new(texture)
    pattern.inputs["Scale"].default_value = rng.uniform(0.4, 6)
    links.new(where.outputs["Object"], pattern.inputs["Vector"])
    mix = nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    shade = [rng.uniform(0.05, 0.7) for _ in range(3)]
    mix.inputs["A"].default_value = (*shade, 1)
    mix.inputs["B"].default_value = (*[c * rng.uniform(0.2, 1.8) for c in shade], 1)
    factor = "Fac" if "Fac" in pattern.outputs else pattern.outputs[0].name
    links.new(pattern.outputs[factor], mix.inputs["Factor"])
    links.new(mix.outputs["Result"], shader.inputs["Base Color"])
    return material


def _animate(subject: bpy.types.Object, rng: random.Random, frames: int) -> None:
    """Let the subject walk through and turn, at a constant speed."""
    middle = (rng.uniform(-1, 1), rng.uniform(-0.6, 0.6), rng.choice([0, 0, 0, 0.4]))
    speed, turn = rng.uniform(-0.25, 0.25), rng.uniform(-0.15, 0.15)
    facing, size = rng.uniform(-0.9, 0.9) + rng.choice([0, math.pi]), rng.uniform(0.6, 1.25)
    subject.scale = (size,) * 3
    for frame in (0, frames + 1):
        step = frame - (frames + 1) / 2
        subject.location = (middle[0] + speed * step, middle[1], middle[2])
        subject.rotation_euler = (0, 0, facing + turn * step)
        subject.keyframe_insert("location", frame=frame)
        subject.keyframe_insert("rotation_euler", frame=frame)


def _camera(scene: bpy.types.Scene, rng: random.Random, frames: int) -> None:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.lens = rng.uniform(30, 60)
    away, height = camera.data.lens * rng.uniform(0.1, 0.17), rng.uniform(1.0, 3.2)
    pan = rng.uniform(-0.05, 0.05) * (rng.random() < 0.5)
    camera.rotation_euler = (math.pi / 2 - math.atan2(height - 0.9, away), 0, 0)
    for frame in (0, frames + 1):
        camera.location = (pan * (frame - frames / 2), -away, height)
        camera.keyframe_insert("location", frame=frame)


if __name__ == "__main__":
    main()
