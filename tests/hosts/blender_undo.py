"""Imports are undone as a whole, and what is imported is still there after saving and opening.

python blender_undo.py STACK FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import blender_helpers
import blender_render
import bpy

KINDS = ("images", "node_groups", "objects", "meshes", "materials", "collections")


def count_data() -> dict[str, int]:
    """Count everything an import makes; what nobody uses does not count."""
    found = {kind: sum(bool(one.users) for one in getattr(bpy.data, kind)) for kind in KINDS}
    scene = bpy.context.scene
    tree = blender_helpers.addon_module("versions").existing_tree(scene)
    found["nodes"] = 0 if tree is None else len(tree.nodes)
    editor = scene.sequence_editor
    found["strips"] = (
        0 if editor is None else len(blender_helpers.addon_module("versions").strips(editor))
    )
    found["stacks"] = len(scene.layert2v.stacks)
    return found


def check_undo(do: Callable[[], set[str]]) -> dict[str, object]:
    """Return what an operator adds, and whether undo and redo take it away and bring it back."""
    before = count_data()
    assert do() == {"FINISHED"}
    after = count_data()
    bpy.ops.ed.undo()
    back = count_data()
    bpy.ops.ed.redo()
    added = sorted(name for name in after if after[name] > before[name])
    return {"added": added, "undone": back == before, "redone": count_data() == after}


def reopen(file: Path) -> dict[str, object]:
    """Open the saved file again: the views still belong to the stack."""
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    bpy.ops.wm.read_homefile()
    bpy.ops.wm.open_mainfile(filepath=str(file))
    scene = bpy.context.scene
    item = scene.layert2v.stacks[0]
    item.layers["fg_01"].visible = False
    inside = blender_render.group_node(scene).node_tree
    overs = [node for node in inside.nodes if node.bl_idname == "CompositorNodeAlphaOver"]
    plane = next(one for one in bpy.data.objects if one.get("layert2v") == f"{item.uid}/fg_01")
    strips = blender_helpers.addon_module("versions").strips(scene.sequence_editor)
    muted = [strip.get("layert2v", "").partition("/")[2] for strip in strips if strip.mute]
    return {
        "problem": item.problem,
        "overs": len(overs),
        "plane": plane.hide_render,
        "muted": muted,
    }


def main(stack: str, folder: Path) -> None:
    blender_helpers.enable()
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    bpy.ops.ed.undo_push(message="start")
    operators = bpy.ops.layert2v
    background = ("EXEC_DEFAULT", True)
    imported = check_undo(
        lambda: operators.import_stack(*background, directory=stack, target="COMPOSITOR")
    )
    planes = check_undo(lambda: operators.open_planes(*background))
    strips = check_undo(lambda: operators.open_strips(*background))
    wrong = folder / "empty"
    wrong.mkdir()
    try:
        operators.import_stack(*background, directory=str(wrong), target="COMPOSITOR")
        complaint = ""
    except RuntimeError as error:
        complaint = str(error)
    again = reopen(folder / "shot.blend")
    blender_helpers.write_result(
        imported=imported, planes=planes, strips=strips, complaint=complaint, again=again
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
