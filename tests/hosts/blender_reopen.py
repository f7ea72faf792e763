"""A job that outlives its Blender, in two processes.

python blender_reopen.py start SERVER OUT     starts a job, saves, and ends
python blender_reopen.py reopen SERVER OUT    opens the file and finds the stack
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import blender_render
import bpy
from shipped_model import HEIGHT, WIDTH

FILE = "shot.blend"


def start_job(out: Path) -> None:
    scene = bpy.context.scene
    state = scene.layert2v
    state.prompt, state.seed = "a white rabbit hopping on a beach", "3"
    state.frames, state.own_sampling, state.steps = 5, True, 12
    bpy.ops.wm.save_as_mainfile(filepath=str(out / FILE))  # new stacks go beside the file
    blender_render.set_format(scene, WIDTH, HEIGHT)
    assert bpy.ops.layert2v.generate() == {"FINISHED"}
    [request] = blender_helpers.request_manager().requests.values()
    blender_helpers.pump_until(lambda: bool(request.job), 200)
    bpy.ops.wm.save_mainfile()
    blender_helpers.write_result(job=request.job, folder=request.folder, open=request.is_open)


def reopen(out: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(out / FILE))
    scene = bpy.context.scene
    waited_for = [saved.job for saved in scene.layert2v.requests]
    blender_helpers.pump_until(lambda: bool(scene.layert2v.stacks), 200)
    folder = scene.layert2v.stacks[0].folder
    blender_render.render_sockets(scene, out / "seen")
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(out / FILE))
    scene = bpy.context.scene
    blender_render.render_sockets(scene, out / "once_more")
    blender_helpers.write_result(
        waited_for=waited_for,
        folder=bpy.path.abspath(folder),
        stacks=len(scene.layert2v.stacks),
        open=len(scene.layert2v.requests),
    )


def main(step: str, server: str, out: Path) -> None:
    blender_helpers.make_empty_scene()
    blender_helpers.enable()
    blender_helpers.set_server(server)
    if step == "reopen":
        reopen(out)
        return
    bpy.ops.layert2v.connect()
    blender_helpers.pump_until(blender_helpers.is_connected)
    start_job(out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
