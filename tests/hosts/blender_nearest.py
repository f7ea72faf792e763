"""Imports stacks in spaces that the configuration lacks or names otherwise, and renders them.

    python blender_nearest.py OUT STACK...

Writes OUT/<name of the stack>/comp.####.exr and planes.####.exr. Reports the color spaces of the
images, what is said about a conversion, and how strips are refused, then shown in the nearest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import blender_import
import blender_render
import bpy


def import_stack(stack: str, out: Path) -> dict[str, object]:
    """Import a stack and render it; then open it as strips, in the nearest space if need be."""
    scene = blender_helpers.make_empty_scene()
    blender_helpers.enable()
    colorspaces = blender_helpers.addon_module("colorspaces")
    importing = bpy.ops.layert2v.import_stack
    assert importing("EXEC_DEFAULT", True, directory=stack, target="COMPOSITOR") == {"FINISHED"}
    item = scene.layert2v.stacks[0]
    offer = colorspaces.current_offer(is_drawing=True)
    images = [image for image in bpy.data.images if image.get("layert2v")]
    seen = {
        "names": sorted({image.colorspace_settings.name for image in images}),
        "converted": colorspaces.describe_conversion(item.colorspace, offer),
        "nearest": colorspaces.describe_nearest(item.colorspace, offer),
    }
    blender_render.set_format(scene, item.width, item.height)
    scene.frame_start, scene.frame_end = item.first_frame, item.first_frame + item.frames - 1
    blender_render.render_sockets(scene, out)
    blender_import.add_camera(scene)
    assert bpy.ops.layert2v.open_planes("EXEC_DEFAULT", True) == {"FINISHED"}
    blender_render.render_planes(scene, out)
    return {**seen, **open_strips(scene, item), "problem": item.problem}


def open_strips(scene: bpy.types.Scene, item: object) -> dict[str, object]:
    """Open a stack as strips, in the nearest space where it is refused otherwise."""
    refused = ""
    try:
        bpy.ops.layert2v.open_strips("EXEC_DEFAULT", True)
    except RuntimeError as error:  # how a script sees the report of an operator
        refused = str(error)
        item.nearest_colorspace = True
        assert bpy.ops.layert2v.open_strips("EXEC_DEFAULT", True) == {"FINISHED"}
    strips = blender_helpers.addon_module("versions").all_strips(scene.sequence_editor)
    return {"refused": refused, "strips": sorted({s.colorspace_settings.name for s in strips})}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    blender_helpers.write_result(
        stacks=[import_stack(stack, place / Path(stack).name) for stack in sys.argv[2:]]
    )
