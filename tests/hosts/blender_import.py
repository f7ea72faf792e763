"""Imports a stack into all three editors and renders what is seen there.

    python blender_import.py STACK OUT FIRST_FRAME_OF_THE_SCENE

Reports the frame at which the stack was put, what the render delivers before and after, and
whether the sequencer blends in linear light before and after the offer is taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import blender_render
import bpy


def add_own_graph(scene: bpy.types.Scene) -> str:
    """Add a graph as an artist has it already: one color linked to the render's output."""
    versions = blender_helpers.addon_module("versions")
    tree = versions.compositor_tree(scene)
    color = tree.nodes.new("CompositorNodeRGB")
    color.name = "mine"
    tree.links.new(color.outputs[0], versions.output_socket(tree))
    return color.name


def output_node(scene: bpy.types.Scene) -> str:
    versions = blender_helpers.addon_module("versions")
    return versions.output_socket(versions.compositor_tree(scene)).links[0].from_node.name


def add_camera(scene: bpy.types.Scene) -> None:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location, camera.rotation_euler = (3, -4, 2), (1.1, 0.2, 0.6)
    camera.data.shift_x = 0.1
    scene.collection.objects.link(camera)
    scene.camera = camera


def main(stack: str, out: Path, first: int) -> None:
    scene = blender_helpers.make_empty_scene()
    blender_helpers.enable()
    scene.frame_start, scene.frame_end = first, first + 99
    add_camera(scene)
    add_own_graph(scene)
    importing = bpy.ops.layert2v.import_stack
    assert importing("EXEC_DEFAULT", True, directory=stack, target="COMPOSITOR") == {"FINISHED"}
    rendered = [output_node(scene)]
    item = scene.layert2v.stacks[0]
    blender_render.set_format(scene, item.width, item.height)
    scene.frame_end = first + item.frames - 1
    sockets = blender_render.render_sockets(scene, out)
    assert bpy.ops.layert2v.open_planes("EXEC_DEFAULT", True) == {"FINISHED"}
    blender_render.render_planes(scene, out)
    assert bpy.ops.layert2v.open_strips("EXEC_DEFAULT", True) == {"FINISHED"}
    linear = [blender_helpers.addon_module("views.strips").is_linear(scene)]
    blender_render.render_strips(scene, out, "unasked")
    bpy.ops.layert2v.blend_linear("EXEC_DEFAULT", True)
    linear.append(blender_helpers.addon_module("views.strips").is_linear(scene))
    blender_render.render_strips(scene, out)
    bpy.ops.layert2v.render_comp("EXEC_DEFAULT", True)
    rendered.append(output_node(scene))
    blender_helpers.write_result(
        first_frame=item.first_frame, sockets=sockets, rendered=rendered, linear=linear
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
