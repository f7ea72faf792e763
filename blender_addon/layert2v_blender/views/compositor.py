"""A stack in the compositor: one node group with an output per layer and one for the comp.

Versions, visibility and order change the inside of the group; what the artist has linked to its
sockets stays.
"""

from __future__ import annotations

from itertools import pairwise

import bpy

from layert2v.colorspaces import Matrix

from .. import versions
from ..stack_view import StackView
from .color_matrix import compositor_group, matrix_text
from .images import TAG, image_colors, load_image, set_frame_range

COMP = "comp"
_STEP = 220  # between nodes, in the editor's units
_CHAIN = "layert2v_over"  # a custom property of the group, saved in .blend files
_CONVERTED = " converted"  # ends the names of the nodes that convert a layer's colors


def find_group(uid: str) -> bpy.types.NodeTree | None:
    """Return the node group of a stack."""
    return next((tree for tree in bpy.data.node_groups if tree.get(TAG) == uid), None)


def find_node(scene: bpy.types.Scene, uid: str) -> bpy.types.Node | None:
    """Return the node that shows the stack in the scene's own graph."""
    graph, group = versions.existing_tree(scene), find_group(uid)
    nodes = [] if graph is None or group is None else graph.nodes
    return next((node for node in nodes if getattr(node, "node_tree", None) == group), None)


def refresh(view: StackView) -> None:
    """Update the inside of the group to the view, if there is a group."""
    tree = find_group(view.uid)
    if tree is not None:
        _update_sockets(tree, [COMP, *reversed(view.layer_names)])
        _update_image_nodes(tree, view)
        _update_over_chain(tree, view)


def place(scene: bpy.types.Scene, view: StackView) -> bpy.types.Node:
    """Put the group into the scene's graph below what is there; return its node.

    The comp is linked to the render's output and to a viewer only where these are free.
    """
    if find_group(view.uid) is None:
        tree = bpy.data.node_groups.new(view.name, "CompositorNodeTree")
        tree[TAG] = view.uid
    refresh(view)
    graph = versions.compositor_tree(scene)
    node = find_node(scene, view.uid)
    if node is None:
        node = graph.nodes.new("CompositorNodeGroup")
        heights = [other.location.y for other in graph.nodes if other != node]
        node.node_tree = find_group(view.uid)
        node.name = node.label = view.name
        node.location = (0, min(heights, default=400) - 400)
        node.width = 180
        if not versions.output_socket(graph).is_linked:
            link_output(scene, view.uid)
        _add_viewer(graph, node)
    return node


def link_output(scene: bpy.types.Scene, uid: str) -> None:
    """Make the comp of a stack that is in the graph what a render of the scene delivers."""
    graph, node = versions.compositor_tree(scene), find_node(scene, uid)
    if node is not None:
        graph.links.new(node.outputs[COMP], versions.output_socket(graph))


def _add_viewer(graph: bpy.types.NodeTree, node: bpy.types.Node) -> None:
    if any(other.bl_idname == "CompositorNodeViewer" for other in graph.nodes):
        return
    viewer = graph.nodes.new("CompositorNodeViewer")
    viewer.location = (node.location.x + 2 * _STEP, node.location.y)
    graph.links.new(node.outputs[COMP], viewer.inputs[0])


def _update_sockets(tree: bpy.types.NodeTree, names: list[str]) -> None:
    interface = tree.interface
    for item in list(interface.items_tree):
        if item.name not in names:
            interface.remove(item)
    existing = {item.name for item in interface.items_tree}
    for name in names:
        if name not in existing:
            interface.new_socket(name, in_out="OUTPUT", socket_type="NodeSocketColor")
    if [item.name for item in interface.items_tree] != names:
        for position, name in enumerate(names):
            interface.move(interface.items_tree[name], position)


def _update_image_nodes(tree: bpy.types.NodeTree, view: StackView) -> None:
    for node in list(tree.nodes):
        if node.bl_idname == "CompositorNodeImage" and node.name not in view.layer_names:
            tree.nodes.remove(node)
    for row, layer in enumerate(reversed(view.layers)):
        node = tree.nodes.get(layer.name)
        if node is None:
            node = tree.nodes.new("CompositorNodeImage")
            node.name = node.label = layer.name
        node.location = (0, -_STEP * 1.5 * row)
        node.image = load_image(view, layer)
        set_frame_range(node, view)


def _update_over_chain(tree: bpy.types.NodeTree, view: StackView) -> None:
    """Composite the visible layers over one another, unless the nodes do so already."""
    visible = [layer.name for layer in view.layers if layer.visible]
    matrix = image_colors(view).matrix
    signature = "|".join([*view.layer_names, ">", *visible, *filter(None, [matrix_text(matrix)])])
    if tree.get(_CHAIN) == signature:
        return
    _update_conversions(tree, view, matrix)
    for node in list(tree.nodes):
        if node.bl_idname in {"CompositorNodeAlphaOver", "NodeGroupOutput"}:
            tree.nodes.remove(node)
    output = tree.nodes.new("NodeGroupOutput")
    output.location = (_STEP * (len(visible) + 1), 0)
    for name in view.layer_names:
        tree.links.new(_layer_output(tree, name), output.inputs[name])
    below = _layer_output(tree, visible[0]) if visible else None
    for column, (_, name) in enumerate(pairwise(visible), 1):
        below = _add_alpha_over(tree, below, name, column)
    if below is not None:
        tree.links.new(below, output.inputs[COMP])
    tree[_CHAIN] = signature


def _update_conversions(tree: bpy.types.NodeTree, view: StackView, matrix: Matrix) -> None:
    """Put a node that converts its colors after each layer's image, or take them away."""
    for node in [node for node in tree.nodes if node.name.endswith(_CONVERTED)]:
        tree.nodes.remove(node)
    for layer in view.layers if matrix else ():
        image = tree.nodes[layer.name]
        node = tree.nodes.new("CompositorNodeGroup")
        node.node_tree = compositor_group(matrix)
        node.name = node.label = layer.name + _CONVERTED
        node.location = (image.location.x + 0.5 * _STEP, image.location.y - 0.5 * _STEP)
        tree.links.new(image.outputs["Image"], node.inputs[0])


def _layer_output(tree: bpy.types.NodeTree, name: str) -> bpy.types.NodeSocket:
    """Return the socket that gives a layer in the working space."""
    return (tree.nodes.get(name + _CONVERTED) or tree.nodes[name]).outputs[0]


def _add_alpha_over(
    tree: bpy.types.NodeTree, below: bpy.types.NodeSocket, name: str, column: int
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("CompositorNodeAlphaOver")
    node.label = f"{name} over"
    node.location = (_STEP * column, -_STEP * column)
    background, foreground = versions.alpha_over_inputs(node)
    tree.links.new(below, background)
    tree.links.new(_layer_output(tree, name), foreground)
    return node.outputs[0]
