"""Imports stacks in spaces that the configuration lacks or names otherwise, and reports how.

python blender_nearest.py STACK...
"""

from __future__ import annotations

import sys

import blender_helpers
import bpy


def import_stack(stack: str) -> dict[str, object]:
    """Import a stack, refused or not, then choose the nearest space and open it."""
    scene = blender_helpers.make_empty_scene()
    blender_helpers.enable()
    refused = ""
    try:
        bpy.ops.layert2v.import_stack("EXEC_DEFAULT", True, directory=stack, target="COMPOSITOR")
    except RuntimeError as error:  # how a script sees the report of an operator
        refused = str(error)
    item = scene.layert2v.stacks[0]
    colorspaces = blender_helpers.addon_module("colorspaces")
    offered = colorspaces.describe_nearest(item.colorspace, colorspaces.current_offer())
    if refused:
        item.nearest_colorspace = True
        assert bpy.ops.layert2v.open_compositor("EXEC_DEFAULT", True) == {"FINISHED"}
    images = [image for image in bpy.data.images if image.get("layert2v")]
    names = sorted({image.colorspace_settings.name for image in images})
    return {"refused": refused, "offered": offered, "names": names, "problem": item.problem}


if __name__ == "__main__":
    blender_helpers.write_result(stacks=[import_stack(stack) for stack in sys.argv[1:]])
