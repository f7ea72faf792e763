"""A render and the compositor's output taken apart; the stacks as strips and planes, and reopened.

python blender_decompose_render.py SERVER OUT

Renders both sources to OUT/{render,composited}, the comps to OUT/{first,second}, strips and planes
to OUT/{strips,planes}; and again after the file was saved and opened, to OUT/reopened.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import blender_render
import bpy
from blender_plates import render_settings
from blender_rerender import prepare, run_operator

FIRST, FRAMES, WIDTH, HEIGHT = 1011, 4, 96, 64


def emission(name: str, color: tuple[float, float, float] | None) -> bpy.types.Material:
    """Return a material that shines in a color, or in the colors of a fixed noise."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    shine, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(shine.outputs[0], output.inputs[0])
    if color is not None:
        shine.inputs["Color"].default_value = (*color, 1.0)
        return material
    noise = nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 3.0
    links.new(noise.outputs["Color"], shine.inputs["Color"])
    return material


def add_scenery(scene: bpy.types.Scene) -> None:
    """Add a red disc that crosses a wall of noise, 9.6 by 6.4 before an orthographic camera."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.data.type, camera.data.ortho_scale = (0, 0, 10), "ORTHO", 9.6
    scene.collection.objects.link(camera)
    scene.camera = camera
    bpy.ops.mesh.primitive_plane_add(size=40)
    bpy.context.object.data.materials.append(emission("wall", None))
    bpy.ops.mesh.primitive_circle_add(radius=1.0, fill_type="NGON", location=(-3, 0.2, 1))
    disc = bpy.context.object
    disc.data.materials.append(emission("disc", (0.8, 0.05, 0.05)))
    disc.keyframe_insert("location", frame=FIRST)
    disc.location.x = 3
    disc.keyframe_insert("location", frame=FIRST + FRAMES - 1)


def add_exposure(scene: bpy.types.Scene) -> None:
    """Let the compositor deliver the render at half its light."""
    versions = blender_helpers.addon_module("versions")
    tree = versions.compositor_tree(scene)
    layers = tree.nodes.new("CompositorNodeRLayers")
    exposure = tree.nodes.new("CompositorNodeExposure")
    exposure.inputs["Exposure"].default_value = -1.0
    tree.links.new(layers.outputs["Image"], exposure.inputs[0])
    tree.links.new(exposure.outputs[0], versions.output_socket(tree))


def prepare_scene(server: str, out: Path) -> bpy.types.Scene:
    scene = prepare(server, out)
    blender_render.set_format(scene, WIDTH, HEIGHT)
    scene.frame_start, scene.frame_end = FIRST, FIRST + FRAMES - 1
    scene.frame_start = FIRST
    scene.render.engine, scene.cycles.samples = "CYCLES", 4
    scene.cycles.use_denoising = False
    add_scenery(scene)
    add_exposure(scene)
    for composited, name in ((False, "render"), (True, "composited")):
        scene.render.use_compositing = composited
        blender_render.render_frames(scene, out / f"{name}.####.exr")
    bpy.ops.layert2v.subject_add("EXEC_DEFAULT", True)
    subject = scene.layert2v.subjects[0]
    subject.frame, subject.has_box, subject.box = FIRST, True, (6, 18, 24, 24)
    return scene


def show_stacks(scene: bpy.types.Scene, out: Path) -> dict[str, object]:
    """Render the stack in the sequencer, the one before the camera, and both comps."""
    for index, name in enumerate(("first", "second")):
        scene.layert2v.active_stack = index
        if blender_render.group_node(scene, index) is None:
            bpy.ops.layert2v.open_compositor("EXEC_DEFAULT", True)
        render_comp(scene, index, out / f"{name}.####.exr")
    blender_render.render_strips(scene, out)
    for one in scene.objects:
        one.hide_render = one.name in ("Plane", "Circle")
    blender_render.render_planes(scene, out)
    for one in scene.objects:
        one.hide_render = False
    return {
        "names": [item.name for item in scene.layert2v.stacks],
        "first_frames": [item.first_frame for item in scene.layert2v.stacks],
        "first_files": [item.first_file for item in scene.layert2v.stacks],
    }


def render_comp(scene: bpy.types.Scene, index: int, pattern: Path) -> None:
    versions = blender_helpers.addon_module("versions")
    sink = versions.output_socket(versions.compositor_tree(scene))
    before = sink.links[0].from_socket
    tree = versions.compositor_tree(scene)
    tree.links.new(blender_render.group_node(scene, index).outputs["comp"], sink)
    scene.render.use_sequencer = False
    blender_render.render_frames(scene, pattern)
    scene.render.use_sequencer = True
    tree.links.new(before, sink)


def main(server: str, out: Path) -> None:
    scene = prepare_scene(server, out)
    panel, decompose = scene.layert2v, bpy.ops.layert2v.decompose
    before = render_settings(scene)
    panel.footage_kind, panel.target = "RENDER", "STRIPS"
    run_operator(decompose)
    bpy.ops.layert2v.blend_linear("EXEC_DEFAULT", True)
    panel.footage_kind, panel.target = "COMPOSITOR", "PLANES"
    folder = run_operator(decompose)
    left = blender_helpers.addon_module("settings").user_folder() / "plates"
    result: dict[str, object] = {
        "same": render_settings(scene) == before,
        "left": len([*left.glob("*")]),
        "folder": folder,
        "shown": show_stacks(scene, out),
    }
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(out / "shot.blend"))
    scene = bpy.context.scene
    result["reopened"] = show_stacks(scene, out / "reopened")
    blender_helpers.write_result(**result)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
