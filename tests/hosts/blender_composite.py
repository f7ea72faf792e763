"""Loads a layer stack into Blender's compositor and renders it, run by Blender's own Python.

    python blender_composite.py STACK OUT

Writes OUT/<name>.<frame>.exr in 32-bit float: one sequence for each layer and flat as Blender read
it, and one called ``over`` that the Alpha Over nodes made of the layers. Knows the manifest and
bpy, no numpy and no engine. Blender 4 and 5 differ in three places; each is one function.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import bpy

from layert2v.stack import FlattenedSequence, Layer, Stack, frame_path, read

ADDON = Path(__file__).parents[2] / "blender_addon" / "layert2v_blender"
sys.path.append(str(ADDON))
import colorspaces  # noqa: E402  a module of the add-on that needs none of its others


def main(folder: Path, out: Path) -> None:
    stack = read(folder)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    set_format(scene, stack)
    tree = compositor_tree(scene)
    sink = output_socket(tree)
    sockets = {one.name: image(tree, stack, folder, one) for one in (*stack.layers, *stack.flats)}
    over = sockets[stack.layers[0].name]
    for layer in stack.layers[1:]:
        over = alpha_over(tree, over, sockets[layer.name])
    for name, socket in {**sockets, "over": over}.items():
        tree.links.new(socket, sink)
        scene.render.filepath = str(out / f"{name}.####.exr")
        bpy.ops.render.render(animation=True)


def set_format(scene: bpy.types.Scene, stack: Stack) -> None:
    render = scene.render
    render.resolution_x, render.resolution_y = stack.width, stack.height
    render.resolution_percentage = 100
    scene.frame_start = stack.start_frame
    scene.frame_end = stack.start_frame + stack.frames - 1
    with contextlib.suppress(TypeError):  # a studio's configuration has no such view
        scene.view_settings.view_transform = "Standard"  # the factory's AgX is a look
    render.compositor_device = "CPU"  # exact, and needs no display
    render.compositor_precision = "FULL"
    settings = render.image_settings
    if hasattr(settings, "media_type"):  # 5.0 on; it decides which file formats exist
        settings.media_type = "IMAGE"
    settings.file_format = "OPEN_EXR"
    settings.color_mode = "RGBA"
    settings.color_depth = "32"
    settings.exr_codec = "ZIP"


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    if hasattr(scene, "compositing_node_group"):  # 5.0 on
        tree = bpy.data.node_groups.new("LayerT2V", "CompositorNodeTree")
        scene.compositing_node_group = tree
        return tree
    scene.use_nodes = True
    scene.node_tree.nodes.clear()  # its Render Layers node would render the 3D scene as well
    return scene.node_tree


def output_socket(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    if bpy.app.version < (5, 0, 0):
        return tree.nodes.new("CompositorNodeComposite").inputs["Image"]
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    return tree.nodes.new("NodeGroupOutput").inputs[0]


def alpha_over(
    tree: bpy.types.NodeTree, below: bpy.types.NodeSocket, above: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("CompositorNodeAlphaOver")
    pictures = [socket for socket in node.inputs if socket.type == "RGBA"]
    tree.links.new(below, pictures[0])
    tree.links.new(above, pictures[1])
    return node.outputs[0]


def image(
    tree: bpy.types.NodeTree, stack: Stack, folder: Path, one: Layer | FlattenedSequence
) -> bpy.types.NodeSocket:
    first = folder / frame_path(one.pattern, stack.start_frame)
    picture = bpy.data.images.load(str(first))
    picture.source = "SEQUENCE"
    picture.alpha_mode = "PREMUL"
    # Explicitly: 4 does not look at the file's tags, 5 looks at one of them.
    picture.colorspace_settings.name = colorspaces.find_name(
        stack.colorspace, colorspaces.current_offer()
    )
    node = tree.nodes.new("CompositorNodeImage")
    node.image = picture
    # The file shown has the number: scene frame - frame_start + 1 + frame_offset.
    node.frame_duration = stack.frames
    node.frame_start = stack.start_frame
    node.frame_offset = stack.start_frame - 1
    node.use_auto_refresh = True
    return node.outputs["Image"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
