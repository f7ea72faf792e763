"""Jobs that are interrupted: cancelled, without a server, or over after this Blender has closed.

    python blender_interrupt.py STEP SERVER FOLDER

STEP is one of the functions here. ``RUNNING`` on a line of its own says that a job is under way.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import bpy
from blender_decompose import load_sequence

SLOW = '{"step_s": 0.5}'  # how the fake engine is told to take its time


def prepare(server: str, folder: Path) -> bpy.types.Scene:
    blender_helpers.enable()
    blender_helpers.set_server(server)
    blender_helpers.request_manager().connect()
    blender_helpers.pump_until(blender_helpers.is_connected)
    state = bpy.context.scene.layert2v
    state.prompt, state.negative, state.folder = "a fox", SLOW, str(folder / "stacks")
    state.own_sampling, state.steps = True, 8
    return bpy.context.scene


def start(button: str = "generate") -> object:
    """Press a button and wait until the server works on it."""
    manager = blender_helpers.request_manager()
    assert getattr(bpy.ops.layert2v, button)("EXEC_DEFAULT") == {"FINISHED"}
    [request] = manager.requests.values()
    blender_helpers.pump_until(lambda: getattr(request.last_update, "state", "") == "running")
    print("RUNNING", flush=True)
    return request


def progress_text(request: object) -> str:
    return blender_helpers.addon_module("status_text").progress_text(request.last_update)


def cancel(server: str, folder: Path) -> None:
    """Cancel a job with the button beside the bar."""
    scene = prepare(server, folder)
    request = start()
    text = progress_text(request)
    bpy.ops.layert2v.cancel("EXEC_DEFAULT", request_id=request.id)
    blender_helpers.pump_until(lambda: not request.is_open)
    left = [path.name for path in (folder / "stacks").rglob("*") if path.is_file()]
    blender_helpers.write_result(
        outcome=request.outcome, text=text, saved=len(scene.layert2v.requests), left=left
    )


def lose_server(server: str, folder: Path) -> None:
    """Run a job while the test kills the server and starts it again."""
    scene = prepare(server, folder)
    manager = blender_helpers.request_manager()
    request = start()
    blender_helpers.pump_until(lambda: request.last_update.state == "waiting")
    waiting = progress_text(request)
    blender_helpers.pump_until(lambda: type(manager.server_status).__name__ == "Disconnected")
    print("WAITING", flush=True)
    blender_helpers.pump_until(lambda: not manager.busy, 120)
    blender_helpers.write_result(
        outcome=request.outcome, waiting=waiting, stacks=len(scene.layert2v.stacks)
    )


def close_blender(server: str, folder: Path) -> None:
    """Save and end while the job runs."""
    prepare(server, folder)
    request = start()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    blender_helpers.write_result(job=request.job)


def close_while_decomposing(server: str, folder: Path) -> None:
    """Save and end while the footage in FOLDER/footage is taken apart."""
    panel = prepare(server, folder).layert2v
    panel.footage_image = load_sequence(folder / "footage")
    bpy.ops.layert2v.subject_add("EXEC_DEFAULT")
    panel.subjects[0].name = SLOW
    request = start("decompose")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    blender_helpers.write_result(job=request.job)


def reopen(server: str, folder: Path) -> None:
    """Open the file later, in another Blender."""
    blender_helpers.enable()
    blender_helpers.set_server(server)
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    manager, scene = blender_helpers.request_manager(), bpy.context.scene
    [request] = manager.scene_requests(scene)
    blender_helpers.pump_until(lambda: not manager.busy, 120)
    layers = [layer.name for stack in scene.layert2v.stacks for layer in stack.layers]
    blender_helpers.write_result(
        job=request.job,
        outcome=request.outcome,
        layers=layers,
        saved=len(scene.layert2v.requests),
        text=blender_helpers.addon_module("status_text").end_text(request.end),
    )


def reopen_with_other_server(server: str, folder: Path) -> None:
    """Open the file in another Blender whose preferences name another server."""
    blender_helpers.enable()
    blender_helpers.set_server("127.0.0.1:9")
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    manager, scene = blender_helpers.request_manager(), bpy.context.scene
    [request] = manager.scene_requests(scene)
    reason, busy, has_session = (
        request.disconnected_reason,
        manager.busy,
        manager.has_session,
    )
    bpy.ops.wm.save_mainfile()
    kept = len(scene.layert2v.requests)
    blender_helpers.set_server(server)
    bpy.ops.layert2v.connect("EXEC_DEFAULT")
    blender_helpers.pump_until(lambda: not manager.busy, 120)
    blender_helpers.write_result(
        reason=reason,
        busy=busy,
        has_session=has_session,
        kept=kept,
        stacks=len(scene.layert2v.stacks),
    )


def check_polls(server: str, folder: Path) -> None:
    """Ask without a server, with one that Blender may not speak to, and without a prompt."""
    blender_helpers.enable()
    manager, preferences = (
        blender_helpers.request_manager(),
        blender_helpers.addon_module("settings"),
    )
    state = bpy.context.scene.layert2v
    reasons = {}
    blender_helpers.set_server("render01:7433")
    reasons["elsewhere"] = preferences.offline_reason()
    reasons["elsewhere_can"] = bpy.ops.layert2v.connect.poll()
    blender_helpers.set_server("127.0.0.1:9")
    manager.connect()
    blender_helpers.pump_until(lambda: type(manager.server_status).__name__ == "Disconnected")
    reasons["away"] = f"{manager.server_status.message} {manager.server_status.hint}"
    reasons["away_can"] = bpy.ops.layert2v.generate.poll()
    blender_helpers.set_server(server)
    manager.connect()
    blender_helpers.pump_until(blender_helpers.is_connected)
    reasons["silent_can"] = bpy.ops.layert2v.generate.poll()
    state.prompt = "a fox"
    reasons["ready_can"] = bpy.ops.layert2v.generate.poll()
    blender_helpers.write_result(**reasons)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
