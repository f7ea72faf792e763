"""A stack from a server, one of its layers generated again, its background swapped, all undone.

    python blender_rerender.py SERVER OUT PLATE

Renders every output of the stack's node after each step: OUT/{generated,rerendered,first,swapped}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import blender_helpers
import blender_render
import bpy
from shipped_model import HEIGHT, WIDTH

PROMPT = "a red fox running through a snowy forest at sunset"


def run_operator(operator: Callable[..., set[str]], **options: object) -> str:
    """Press a button and wait until the job has ended; return the stack's folder."""
    manager = blender_helpers.request_manager()
    known = set(manager.requests)
    assert operator("EXEC_DEFAULT", True, **options) == {"FINISHED"}
    [name] = set(manager.requests) - known
    request = manager.requests[name]
    blender_helpers.pump_until(lambda: not manager.busy, 200)
    assert request.outcome == "RequestSucceeded", request.end
    assert not bpy.context.scene.layert2v.requests  # nothing is left to take up again
    return request.folder


def prepare(server: str, out: Path) -> bpy.types.Scene:
    scene = blender_helpers.make_empty_scene()
    bpy.ops.ed.undo_push(message="start")
    blender_helpers.enable()
    blender_helpers.set_server(server)
    blender_render.set_format(scene, WIDTH, HEIGHT)
    state = scene.layert2v
    state.prompt, state.seed, state.folder = PROMPT, "7", str(out / "stacks")
    state.frames, state.own_sampling, state.steps = 5, True, 4
    blender_helpers.request_manager().connect()
    blender_helpers.pump_until(blender_helpers.is_connected)
    return scene


def add_grade(scene: bpy.types.Scene) -> tuple[str, str]:
    """Add a node of the artist's own behind a layer of the stack; return how it is linked."""
    tree = blender_helpers.addon_module("versions").compositor_tree(scene)
    exposure = tree.nodes.new("CompositorNodeExposure")
    exposure.name = "grade"
    tree.links.new(blender_render.group_node(scene).outputs["fg_01"], exposure.inputs[0])
    return grade_link(scene)


def grade_link(scene: bpy.types.Scene) -> tuple[str, str]:
    tree = blender_helpers.addon_module("versions").compositor_tree(scene)
    link = tree.nodes["grade"].inputs[0].links[0]
    return link.from_node.name, link.from_socket.name


def shown_versions(scene: bpy.types.Scene) -> dict[str, str]:
    return {layer.name: layer.shown for layer in scene.layert2v.stacks[0].layers}


def reuse_settings(scene: bpy.types.Scene) -> dict[str, object]:
    """Use each state of the history again; return what the panel and the layer hold then."""
    state, item = scene.layert2v, scene.layert2v.stacks[0]
    state.prompt = state.seed = item.layers["fg_01"].prompt = ""
    state.size_from_scene, state.own_sampling = True, False
    for index in range(len(item.history)):
        item.active_state = index
        bpy.ops.layert2v.use_settings("EXEC_DEFAULT", True)
    layer = item.layers["fg_01"]
    return {
        "prompt": state.prompt, "seed": state.seed, "steps": state.steps,
        "size": [state.size_from_scene, state.width, state.height, state.frames],
        "layer": [layer.prompt, layer.seed],
    }  # fmt: skip


def main(server: str, out: Path, plate: Path) -> None:
    scene = prepare(server, out)
    folder = run_operator(bpy.ops.layert2v.generate)
    item = scene.layert2v.stacks[0]
    scene.frame_end = scene.frame_start + item.frames - 1
    result: dict[str, object] = {"folder": folder, "first_frame": item.first_frame}
    grades = [add_grade(scene)]
    blender_render.render_sockets(scene, out / "generated")

    item.active_layer = item.layers.find("fg_01")
    item.layers["fg_01"].prompt = "a brown bear"
    item.layers["fg_01"].seed = "11"
    item.layers["shadow_01"].frozen = True
    run_operator(bpy.ops.layert2v.rerender)
    result["rerendered"] = shown_versions(scene)
    grades.append(grade_link(scene))
    blender_render.render_sockets(scene, out / "rerendered")

    scene.layert2v.stacks[0].layers["fg_01"].shown = "1"
    blender_render.render_sockets(scene, out / "first")
    scene.layert2v.stacks[0].layers["fg_01"].shown = "2"

    item.layers["shadow_01"].frozen = False
    files = [{"name": plate.name}]
    run_operator(
        bpy.ops.layert2v.plate_files, directory=str(plate.parent), files=files, use="BACKGROUND"
    )
    result["swapped"] = shown_versions(scene)
    result["states"] = [state.action for state in scene.layert2v.stacks[0].history]
    grades.append(grade_link(scene))
    blender_render.render_sockets(scene, out / "swapped")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    result["undone"] = shown_versions(scene)
    result["reused"] = reuse_settings(scene)
    blender_helpers.write_result(**result, grades=grades)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
