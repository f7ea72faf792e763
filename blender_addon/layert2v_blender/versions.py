"""Differences between Blender 4.2 and 5.2: each check tests for the feature, not for a number."""

from __future__ import annotations

import bpy

# Options of a path that may begin with ``//``: 4.5 and later can be told, and 5.2 warns if not.
BLEND_RELATIVE_PATH = {"ANIMATABLE"}
if "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties:
    BLEND_RELATIVE_PATH.add("PATH_SUPPORTS_BLEND_RELATIVE")


def existing_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """Return the scene's compositor graph, if it has one."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """Return the scene's compositor graph; a new one delivers the render as it was before."""
    if not hasattr(scene, "compositing_node_group"):
        scene.use_nodes = True  # makes Render Layers and Composite on first use
        return scene.node_tree
    if scene.compositing_node_group is None:
        tree = bpy.data.node_groups.new("Compositor", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.links.new(
            tree.nodes.new("CompositorNodeRLayers").outputs["Image"], output_socket(tree)
        )
    return scene.compositing_node_group


def output_socket(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Return the socket that a render takes its picture from; it is added if there is none."""
    kind = "CompositorNodeComposite"
    if not hasattr(bpy.types, kind):
        kind = "NodeGroupOutput"
        items = tree.interface.items_tree
        if not any(item.item_type == "SOCKET" and item.in_out == "OUTPUT" for item in items):
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    nodes = [node for node in tree.nodes if node.bl_idname == kind]
    active = [node for node in nodes if getattr(node, "is_active_output", True)]
    node = next(iter(active or nodes), None)
    if node is None:
        node = tree.nodes.new(kind)
        node.location = (400, 0)
    return node.inputs[0]


def new_math_node(tree: bpy.types.NodeTree) -> bpy.types.Node:
    """Add a Math node to a graph of the compositor, which has none of its own from 5.0 on."""
    own = "CompositorNodeMath"
    return tree.nodes.new(own if hasattr(bpy.types, own) else "ShaderNodeMath")


def alpha_over_inputs(node: bpy.types.Node) -> tuple[bpy.types.NodeSocket, bpy.types.NodeSocket]:
    """Return the background and the foreground input of an Alpha Over node."""
    if "Background" in node.inputs:
        return node.inputs["Background"], node.inputs["Foreground"]
    background, foreground = (socket for socket in node.inputs if socket.type == "RGBA")
    return background, foreground


def strips(editor: bpy.types.SequenceEditor) -> bpy.types.bpy_prop_collection:
    """Return the strips at the top level of the sequencer."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def all_strips(editor: bpy.types.SequenceEditor) -> bpy.types.bpy_prop_collection:
    """Return all strips of the sequencer, those inside meta strips too."""
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """Return the scene whose sequencer is seen; 5.0 lets a workspace choose another one."""
    return getattr(context, "sequencer_scene", None) or context.scene
