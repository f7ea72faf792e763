"""Renders as plates, the ways back, and what follows when a stack gets and loses layers.

python blender_plates.py SERVER OUT
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import blender_helpers
import blender_render
import bpy
from blender_rerender import prepare, run_operator


def add_scenery(scene: bpy.types.Scene) -> None:
    """Add a camera in a plain blue world, and a compositor that delivers a plain green."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("blue")
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    shader = next(one for one in scene.world.node_tree.nodes if one.type == "BACKGROUND")
    shader.inputs["Color"].default_value = (0.125, 0.25, 0.5, 1)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    versions = blender_helpers.addon_module("versions")
    tree = versions.compositor_tree(scene)
    color = tree.nodes.new("CompositorNodeRGB")
    color.outputs[0].default_value = (0.0, 0.5, 0.0, 1)
    tree.links.new(color.outputs[0], versions.output_socket(tree))


def render_settings(scene: bpy.types.Scene) -> list[object]:
    render = scene.render
    image = render.image_settings
    return [
        render.filepath, render.resolution_x, render.film_transparent, render.use_compositing,
        scene.frame_start, scene.frame_end, image.file_format, image.color_depth,
        image.color_management,
    ]  # fmt: skip


def shown_layers(scene: bpy.types.Scene) -> dict[str, list[str]]:
    """Return which layers each view shows, from bottom to top."""
    item = scene.layert2v.stacks[0]
    node = blender_render.group_node(scene)
    strips = blender_helpers.addon_module("versions").strips(scene.sequence_editor)
    ours = sorted((one for one in strips if one.get("layert2v")), key=lambda one: one.channel)
    empty = blender_helpers.addon_module("views.planes").find_empty(item.uid)
    planes = sorted(empty.children, key=lambda one: one.location.z)
    name = lambda one: one["layert2v"].partition("/")[2]  # noqa: E731
    return {
        "list": [layer.name for layer in reversed(item.layers)],
        "sockets": [socket.name for socket in reversed(node.outputs)],
        "strips": [name(one) for one in ours],
        "planes": [name(one) for one in planes],
    }


def main(server: str, out: Path) -> None:
    scene = prepare(server, out)
    add_scenery(scene)
    scene.frame_end = 50
    operators = bpy.ops.layert2v
    folder = run_operator(operators.generate)
    operators.open_planes("EXEC_DEFAULT", True)
    scene.camera.rotation_euler = (0, math.pi, 0)  # the planes are not to be in the render
    operators.open_strips("EXEC_DEFAULT", True)
    operators.blend_linear("EXEC_DEFAULT", True)
    before, seen = render_settings(scene), [shown_layers(scene)]
    run_operator(operators.plate_render, use="BACKGROUND")
    run_operator(operators.plate_compositor, use="FOREGROUND")
    seen.append(shown_layers(scene))
    same = render_settings(scene) == before
    item = scene.layert2v.stacks[0]
    item.active_layer = item.layers.find("fg_02")
    run_operator(operators.layer_move, direction="DOWN")
    seen.append(shown_layers(scene))
    item.active_layer = item.layers.find("fg_01")
    run_operator(operators.layer_remove)
    seen.append(shown_layers(scene))
    item.active_state = len(item.history) - 1
    operators.open_state("EXEC_DEFAULT", True)
    seen.append(shown_layers(scene))
    scene.frame_end = scene.frame_start + item.frames - 1
    blender_render.set_format(scene, item.width, item.height)
    blender_render.render_sockets(scene, out)
    blender_render.render_strips(scene, out)
    left = list((blender_helpers.addon_module("settings").user_folder() / "plates").glob("*"))
    actions = [state.action for state in item.history]
    blender_helpers.write_result(
        folder=folder, views=seen, same=same, left=len(left), actions=actions
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
