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


def contents() -> dict[str, int]:
    """How much there is of everything an import makes; what nobody uses does not count."""
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


def undone(do: Callable[[], set[str]]) -> dict[str, object]:
    """What one operator adds, and whether an undo and a redo take it away and bring it back."""
    before = contents()
    assert do() == {"FINISHED"}
    after = contents()
    bpy.ops.ed.undo()
    back = contents()
    bpy.ops.ed.redo()
    added = sorted(name for name in after if after[name] > before[name])
    return {"added": added, "undone": back == before, "redone": contents() == after}


def opened_again(file: Path) -> dict[str, object]:
    """The same file in the same Blender: the views still belong to the stack."""
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
    imported = undone(
        lambda: operators.import_stack(*background, directory=stack, target="COMPOSITOR")
    )
    planes = undone(lambda: operators.open_planes(*background))
    strips = undone(lambda: operators.open_strips(*background))
    wrong = folder / "empty"
    wrong.mkdir()
    try:
        operators.import_stack(*background, directory=str(wrong), target="COMPOSITOR")
        complaint = ""
    except RuntimeError as problem:
        complaint = str(problem)
    again = opened_again(folder / "shot.blend")
    blender_helpers.write_result(
        imported=imported, planes=planes, strips=strips, complaint=complaint, again=again
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
