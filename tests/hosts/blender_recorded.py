"""Opens a file that v0.1 of the add-on saved, and goes on in it.

    python blender_recorded.py FILE OUT

Renders every output of the stack's node as saved, with another version and after going back to
the first state: OUT/{saved,switched,back}.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import blender_render
import bpy

NOBODY = "127.0.0.1:9"


def panel_values(scene: bpy.types.Scene) -> dict[str, object]:
    """Return what the artist has set for the next stack."""
    state = scene.layert2v
    names = ("prompt", "background", "negative", "size_from_scene", "width", "height", "frames")
    names += ("seed", "own_sampling", "steps", "guidance", "folder", "target")
    return {
        **{name: getattr(state, name) for name in names},
        "foregrounds": [one.prompt for one in state.foregrounds],
    }


def layer_values(item: object) -> dict[str, list[object]]:
    """Return by layer, from top to bottom, what is shown and what is set for the next one."""
    names = ("shown", "visible", "frozen", "prompt", "seed", "strength")
    return {layer.name: [getattr(layer, name) for name in names] for layer in item.layers}


def view_values(scene: bpy.types.Scene) -> dict[str, object]:
    """Return what each layer shows in the views, and what the artist's own node is linked to."""
    versions = blender_helpers.addon_module("versions")
    link = versions.compositor_tree(scene).nodes["grade"].inputs[0].links[0]
    images = [one for one in bpy.data.images if one.get("layert2v")]
    strips = versions.strips(scene.sequence_editor)
    tagged = [one["layert2v"].partition("/")[2] for one in bpy.data.objects if "layert2v" in one]
    return {
        "grade": [link.from_node.type, link.from_socket.name],
        "images": sorted(Path(image.filepath).name for image in images),
        "strips": sorted(strip.elements[0].filename for strip in strips),
        "planes": sorted(filter(None, tagged)),
    }


def render_stack(scene: bpy.types.Scene, out: Path) -> dict[str, object]:
    """Render the stack as it is shown now into ``out``; return how it is listed."""
    item = scene.layert2v.stacks[0]
    blender_render.render_sockets(scene, out)
    return {
        "problem": item.problem,
        "layers": layer_values(item),
        "versions": {one.name: [each.number for each in one.versions] for one in item.layers},
        "history": [[state.number, state.action] for state in item.history],
        **view_values(scene),
    }


def main(file: str, out: Path) -> None:
    blender_helpers.enable()
    blender_helpers.set_server(NOBODY)
    bpy.ops.wm.open_mainfile(filepath=file)
    scene, manager = bpy.context.scene, blender_helpers.request_manager()
    scene.frame_end = scene.frame_start
    [request] = manager.scene_requests(scene)
    result = {
        "panel": panel_values(scene),
        "reason": request.disconnected_reason,
        "job": request.job,
    }
    item = scene.layert2v.stacks[0]
    result["folder"] = str(blender_helpers.addon_module("stack_list").stack_folder(item))
    result["saved"] = render_stack(scene, out / "saved")
    item.layers["bg"].visible = True
    item.layers["fg_01"].shown = "2"
    result["switched"] = render_stack(scene, out / "switched")
    item.active_state = len(item.history) - 1
    assert bpy.ops.layert2v.open_state("EXEC_DEFAULT", True) == {"FINISHED"}
    result["back"] = render_stack(scene, out / "back")
    blender_helpers.write_result(**result)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
