"""A stack in the compositor: one node group with an output per layer and one for the comp.

Versions, visibility and order change the inside of the group; what the artist has linked to its
sockets stays.
"""

from __future__ import annotations

from itertools import pairwise

import bpy

from .. import versions
from ..stack_view import Shown
from .images import TAG, picture, set_time

COMP = "comp"
_STEP = 220  # between nodes, in the editor's units
_CHAIN = "layert2v_over"


def find(uid: str) -> bpy.types.NodeTree | None:
    """The group of a stack."""
    return next((tree for tree in bpy.data.node_groups if tree.get(TAG) == uid), None)


def refresh(shown: Shown) -> None:
    """Bring the inside of the group to what is shown, where there is a group."""
    tree = find(shown.uid)
    if tree is not None:
        _sockets(tree, [COMP, *reversed(shown.names)])
        _images(tree, shown)
        _chain(tree, shown)


def place(scene: bpy.types.Scene, shown: Shown) -> bpy.types.Node:
    """Put the group into the scene's graph below what is there; returns its node.

    The comp goes to the render's output and to a viewer only where these are free.
    """
    if find(shown.uid) is None:
        tree = bpy.data.node_groups.new(shown.name, "CompositorNodeTree")
        tree[TAG] = shown.uid
    refresh(shown)
    group = find(shown.uid)
    graph = versions.compositor_tree(scene)
    placed = node(scene, shown.uid)
    if placed is None:
        placed = graph.nodes.new("CompositorNodeGroup")
        others = [one.location.y for one in graph.nodes if one != placed]
        placed.node_tree = group
        placed.name = placed.label = shown.name
        placed.location = (0, min(others, default=400) - 400)
        placed.width = 180
        if not versions.output(graph).is_linked:
            to_output(scene, shown.uid)
        _view(graph, placed)
    return placed


def node(scene: bpy.types.Scene, uid: str) -> bpy.types.Node | None:
    """The node that shows the stack in the scene's own graph."""
    graph, group = versions.existing_tree(scene), find(uid)
    nodes = [] if graph is None or group is None else graph.nodes
    return next((one for one in nodes if getattr(one, "node_tree", None) == group), None)


def to_output(scene: bpy.types.Scene, uid: str) -> None:
    """Make the comp of a stack that is in the graph what a render of the scene delivers."""
    graph, placed = versions.compositor_tree(scene), node(scene, uid)
    if placed is not None:
        graph.links.new(placed.outputs[COMP], versions.output(graph))


def _view(graph: bpy.types.NodeTree, node: bpy.types.Node) -> None:
    if any(other.bl_idname == "CompositorNodeViewer" for other in graph.nodes):
        return
    viewer = graph.nodes.new("CompositorNodeViewer")
    viewer.location = (node.location.x + 2 * _STEP, node.location.y)
    graph.links.new(node.outputs[COMP], viewer.inputs[0])


def _sockets(tree: bpy.types.NodeTree, wanted: list[str]) -> None:
    interface = tree.interface
    for item in list(interface.items_tree):
        if item.name not in wanted:
            interface.remove(item)
    have = {item.name for item in interface.items_tree}
    for name in wanted:
        if name not in have:
            interface.new_socket(name, in_out="OUTPUT", socket_type="NodeSocketColor")
    if [item.name for item in interface.items_tree] != wanted:
        for position, name in enumerate(wanted):
            interface.move(interface.items_tree[name], position)


def _images(tree: bpy.types.NodeTree, shown: Shown) -> None:
    for node in list(tree.nodes):
        if node.bl_idname == "CompositorNodeImage" and node.name not in shown.names:
            tree.nodes.remove(node)
    for row, layer in enumerate(reversed(shown.layers)):
        node = tree.nodes.get(layer.name)
        if node is None:
            node = tree.nodes.new("CompositorNodeImage")
            node.name = node.label = layer.name
        node.location = (0, -_STEP * 1.5 * row)
        node.image = picture(shown, layer)
        set_time(node, shown)


def _chain(tree: bpy.types.NodeTree, shown: Shown) -> None:
    """Lay the visible layers over one another, where that is not how they already lie."""
    visible = [layer.name for layer in shown.layers if layer.visible]
    signature = "|".join([*shown.names, ">", *visible])
    if tree.get(_CHAIN) == signature:
        return
    for node in list(tree.nodes):
        if node.bl_idname in {"CompositorNodeAlphaOver", "NodeGroupOutput"}:
            tree.nodes.remove(node)
    end = tree.nodes.new("NodeGroupOutput")
    end.location = (_STEP * (len(visible) + 1), 0)
    for name in shown.names:
        tree.links.new(tree.nodes[name].outputs["Image"], end.inputs[name])
    below = tree.nodes[visible[0]].outputs["Image"] if visible else None
    for column, (_, name) in enumerate(pairwise(visible), 1):
        below = _over(tree, below, name, column)
    if below is not None:
        tree.links.new(below, end.inputs[COMP])
    tree[_CHAIN] = signature


def _over(
    tree: bpy.types.NodeTree, below: bpy.types.NodeSocket, name: str, column: int
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("CompositorNodeAlphaOver")
    node.label = f"{name} over"
    node.location = (_STEP * column, -_STEP * column)
    lower, upper = versions.over_inputs(node)
    tree.links.new(below, lower)
    tree.links.new(tree.nodes[name].outputs["Image"], upper)
    return node.outputs[0]
