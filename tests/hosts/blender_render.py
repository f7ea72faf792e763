"""Renders what the add-on has made, for scripts inside Blender."""

from __future__ import annotations

import contextlib
from pathlib import Path

import blender_helpers
import bpy


def set_format(scene: bpy.types.Scene, width: int, height: int) -> None:
    """Set float EXR at this size, exact and without a display."""
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.compositor_device = "CPU"
    render.compositor_precision = "FULL"
    with contextlib.suppress(TypeError):  # a studio's configuration has no such view
        scene.view_settings.view_transform = "Standard"
    settings = render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "OPEN_EXR"
    settings.color_mode = "RGBA"
    settings.color_depth = "32"


def group_node(scene: bpy.types.Scene, number: int = 0) -> bpy.types.Node:
    """Return the node of one of the scene's stacks in its compositor."""
    uid = scene.layert2v.stacks[number].uid
    return blender_helpers.addon_module("views.compositor").find_node(scene, uid)


def render_frames(scene: bpy.types.Scene, pattern: Path) -> None:
    """Render all frames of the scene's range, ``####`` in ``pattern`` being the scene's frame."""
    scene.render.filepath = str(pattern)
    bpy.ops.render.render(animation=True, scene=scene.name)


def render_sockets(scene: bpy.types.Scene, out: Path) -> list[str]:
    """Render every output of the stack's node to ``out/<socket>.####.exr``; restore its links."""
    versions = blender_helpers.addon_module("versions")
    tree, node = versions.compositor_tree(scene), group_node(scene)
    sink = versions.output_socket(tree)
    before = sink.links[0].from_socket if sink.is_linked else None
    idle = [one for one in tree.nodes if one.bl_idname == "CompositorNodeRLayers" and not one.mute]
    for one in idle:  # the 3D scene is not asked for
        one.mute = True
    scene.render.use_sequencer = False  # its strips would come before the compositor's output
    for socket in node.outputs:
        tree.links.new(socket, sink)
        render_frames(scene, out / f"{socket.name}.####.exr")
    scene.render.use_sequencer = True
    for one in idle:
        one.mute = False
    if before is not None:
        tree.links.new(before, sink)
    return [socket.name for socket in node.outputs]


def render_planes(scene: bpy.types.Scene, out: Path) -> None:
    """Render the planes with Cycles, one sample in the middle of each pixel."""
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 0.01
    scene.render.film_transparent = True
    scene.render.use_compositing = scene.render.use_sequencer = False
    render_frames(scene, out / "planes.####.exr")
    scene.render.use_compositing = scene.render.use_sequencer = True


def render_strips(scene: bpy.types.Scene, out: Path, name: str = "strips") -> None:
    """Render the sequencer's own output."""
    scene.render.use_compositing = False
    render_frames(scene, out / f"{name}.####.exr")
    scene.render.use_compositing = True
