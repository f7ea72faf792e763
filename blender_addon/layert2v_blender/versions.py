"""Where Blender 4.2 to 5.2 differ for us: four switches, each asked of the feature itself."""

from __future__ import annotations

import bpy


def existing_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The scene's compositor graph, where it has one."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor graph, made where there is none so that a render stays as it was."""
    if not hasattr(scene, "compositing_node_group"):
        scene.use_nodes = True  # makes Render Layers and Composite on first use
        return scene.node_tree
    if scene.compositing_node_group is None:
        tree = bpy.data.node_groups.new("Compositor", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.links.new(tree.nodes.new("CompositorNodeRLayers").outputs["Image"], output(tree))
    return scene.compositing_node_group


def output(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """The socket that a render takes its picture from, made where there is none."""
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


def over_inputs(node: bpy.types.Node) -> tuple[bpy.types.NodeSocket, bpy.types.NodeSocket]:
    """What lies below and what lies above in an Alpha Over node."""
    if "Background" in node.inputs:
        return node.inputs["Background"], node.inputs["Foreground"]
    below, above = (socket for socket in node.inputs if socket.type == "RGBA")
    return below, above


def strips(editor: bpy.types.SequenceEditor) -> bpy.types.bpy_prop_collection:
    """The strips at the top of the sequencer."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def all_strips(editor: bpy.types.SequenceEditor) -> bpy.types.bpy_prop_collection:
    """The strips of the sequencer, those inside meta strips too."""
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def edited_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene whose sequencer is seen; 5.0 lets a workspace choose another than its own."""
    return getattr(context, "sequencer_scene", None) or context.scene
