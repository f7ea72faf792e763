"""A color matrix as nodes: for stacks in a space that the running configuration does not offer.

Over and matrix are both linear, so converted layers give the converted comp.
"""

from __future__ import annotations

import bpy

from layert2v.colorspaces import Matrix

from .. import versions

TAG = "layert2v_matrix"  # a custom property: which matrix nodes or materials hold
_CHANNELS = 3
_STEP = 180


def matrix_text(matrix: Matrix) -> str:
    """Return a matrix as the text that marks what was made of it; "" for none."""
    return " ".join(f"{value:.7g}" for row in matrix for value in row)


def compositor_group(matrix: Matrix) -> bpy.types.NodeTree:
    """Return the node group that converts an image, one for each matrix."""
    tag = matrix_text(matrix)
    found = next((tree for tree in bpy.data.node_groups if tree.get(TAG) == tag), None)
    if found is not None:
        return found
    tree = bpy.data.node_groups.new("LayerT2V Color Matrix", "CompositorNodeTree")
    tree[TAG] = tag
    for in_out in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Image", in_out=in_out, socket_type="NodeSocketColor")
    source, output = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    parts = tree.nodes.new("CompositorNodeSeparateColor")
    whole = tree.nodes.new("CompositorNodeCombineColor")
    tree.links.new(source.outputs[0], parts.inputs[0])
    tree.links.new(parts.outputs[3], whole.inputs[3])
    tree.links.new(whole.outputs[0], output.inputs[0])
    for column, node in ((-1, source), (0, parts), (_CHANNELS + 1, whole), (_CHANNELS + 2, output)):
        node.location = (_STEP * column, 0)
    for row, weights in enumerate(matrix):
        tree.links.new(_weighted_sum(tree, parts, weights, row), whole.inputs[row])
    return tree


def _weighted_sum(
    tree: bpy.types.NodeTree, parts: bpy.types.Node, weights: tuple[float, ...], row: int
) -> bpy.types.NodeSocket:
    """Return red, green and blue of ``parts``, each times its weight, in one sum."""
    total: bpy.types.NodeSocket | None = None
    for column, weight in enumerate(weights):
        node = versions.new_math_node(tree)
        node.operation = "MULTIPLY_ADD"
        node.location = (_STEP * (column + 1), -_STEP * row)
        tree.links.new(parts.outputs[column], node.inputs[0])
        node.inputs[1].default_value = weight
        if total is None:
            node.inputs[2].default_value = 0.0
        else:
            tree.links.new(total, node.inputs[2])
        total = node.outputs[0]
    return total


def add_to_material(
    tree: bpy.types.NodeTree, color: bpy.types.NodeSocket, matrix: Matrix
) -> bpy.types.NodeSocket:
    """Return the socket of a material's tree that gives ``color`` converted; itself without one."""
    if not matrix:
        return color
    whole = tree.nodes.new("ShaderNodeCombineXYZ")
    whole.location = (120, -300)
    for row, weights in enumerate(matrix):
        node = tree.nodes.new("ShaderNodeVectorMath")
        node.operation = "DOT_PRODUCT"
        node.location = (0, -300 - _STEP * row)
        node.inputs[1].default_value = weights
        tree.links.new(color, node.inputs[0])
        tree.links.new(node.outputs["Value"], whole.inputs[row])
    return whole.outputs[0]
