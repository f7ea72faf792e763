"""Jobs that do not go straight: cancelled, without a server, or over after this Blender has closed.

    python blender_addon_trouble.py PART SERVER FOLDER

PART is one of the functions here. ``RUNNING`` on a line of its own says that a job is under way.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_lab
import bpy

SLOW = '{"step_s": 0.5}'  # how the fake engine is told to take its time


def prepare(server: str, folder: Path) -> bpy.types.Scene:
    blender_lab.enable()
    blender_lab.use_server(server)
    blender_lab.part("session").desk.connect()
    blender_lab.pump_until(blender_lab.connected)
    state = bpy.context.scene.layert2v
    state.prompt, state.negative, state.folder = "a fox", SLOW, str(folder / "stacks")
    state.own_sampling, state.steps = True, 8
    return bpy.context.scene


def start() -> object:
    """Press Generate and wait until the server works on it."""
    desk = blender_lab.part("session").desk
    assert bpy.ops.layert2v.generate("EXEC_DEFAULT") == {"FINISHED"}
    [request] = desk.requests.values()
    blender_lab.pump_until(lambda: getattr(request.changed, "state", "") == "running")
    print("RUNNING", flush=True)
    return request


def words(request: object) -> str:
    return blender_lab.part("wording").progress(request.changed)


def cancelled(server: str, folder: Path) -> None:
    """The artist presses the button beside the bar."""
    scene = prepare(server, folder)
    request = start()
    said = words(request)
    bpy.ops.layert2v.cancel("EXEC_DEFAULT", request_id=request.id)
    blender_lab.pump_until(lambda: not request.is_open)
    left = [path.name for path in (folder / "stacks").rglob("*") if path.is_file()]
    blender_lab.answer(
        outcome=request.outcome, said=said, saved=len(scene.layert2v.requests), left=left
    )


def cut_off(server: str, folder: Path) -> None:
    """The test kills the server and starts it again while the job runs."""
    scene = prepare(server, folder)
    desk = blender_lab.part("session").desk
    request = start()
    blender_lab.pump_until(lambda: request.changed.state == "waiting")
    waiting = words(request)
    blender_lab.pump_until(lambda: type(desk.status).__name__ == "Disconnected")
    print("WAITING", flush=True)
    blender_lab.pump_until(lambda: not desk.busy, 120)
    blender_lab.answer(outcome=request.outcome, waiting=waiting, stacks=len(scene.layert2v.stacks))


def left_behind(server: str, folder: Path) -> None:
    """Blender is closed while the job runs."""
    prepare(server, folder)
    request = start()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    blender_lab.answer(job=request.job)


def opened_again(server: str, folder: Path) -> None:
    """Another Blender opens the file later."""
    blender_lab.enable()
    blender_lab.use_server(server)
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    desk, scene = blender_lab.part("session").desk, bpy.context.scene
    [request] = desk.of(scene)
    blender_lab.pump_until(lambda: not desk.busy, 120)
    layers = [layer.name for stack in scene.layert2v.stacks for layer in stack.layers]
    blender_lab.answer(
        job=request.job,
        outcome=request.outcome,
        layers=layers,
        saved=len(scene.layert2v.requests),
        said=blender_lab.part("wording").outcome(request.ended),
    )


def opened_elsewhere(server: str, folder: Path) -> None:
    """Another Blender opens the file while its preferences name another server."""
    blender_lab.enable()
    blender_lab.use_server("127.0.0.1:9")
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    desk, scene = blender_lab.part("session").desk, bpy.context.scene
    [request] = desk.of(scene)
    apart, busy, asked = request.apart, desk.busy, desk.asked
    bpy.ops.wm.save_mainfile()
    kept = len(scene.layert2v.requests)
    blender_lab.use_server(server)
    bpy.ops.layert2v.connect("EXEC_DEFAULT")
    blender_lab.pump_until(lambda: not desk.busy, 120)
    blender_lab.answer(
        apart=apart, busy=busy, asked=asked, kept=kept, stacks=len(scene.layert2v.stacks)
    )


def nobody(server: str, folder: Path) -> None:
    """No server there, or none that Blender may speak to, or nothing to ask for."""
    blender_lab.enable()
    desk, preferences = blender_lab.part("session").desk, blender_lab.part("preferences")
    state = bpy.context.scene.layert2v
    reasons = {}
    blender_lab.use_server("render01:7433")
    reasons["elsewhere"] = preferences.why_not_connect()
    reasons["elsewhere_can"] = bpy.ops.layert2v.connect.poll()
    blender_lab.use_server("127.0.0.1:9")
    desk.connect()
    blender_lab.pump_until(lambda: type(desk.status).__name__ == "Disconnected")
    reasons["away"] = f"{desk.status.message} {desk.status.hint}"
    reasons["away_can"] = bpy.ops.layert2v.generate.poll()
    blender_lab.use_server(server)
    desk.connect()
    blender_lab.pump_until(blender_lab.connected)
    reasons["silent_can"] = bpy.ops.layert2v.generate.poll()
    state.prompt = "a fox"
    reasons["ready_can"] = bpy.ops.layert2v.generate.poll()
    blender_lab.answer(**reasons)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
