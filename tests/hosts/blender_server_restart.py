"""One Blender and its server: absent, started, killed in a job, restarted, a job cancelled.

    python blender_server_restart.py SERVER OUT

Makes OUT/<moment> when it gets there; the test does to the server what belongs to the moment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import blender_helpers
import bpy


def generate(*, steps: int) -> Any:
    """Press Generate; return the request once the server generates."""
    manager, state = blender_helpers.request_manager(), bpy.context.scene.layert2v
    state.steps = steps
    known = set(manager.requests)
    assert bpy.ops.layert2v.generate() == {"FINISHED"}
    [name] = set(manager.requests) - known
    request = manager.requests[name]
    blender_helpers.pump_until(lambda: getattr(request.last_update, "stage", "") == "denoise", 200)
    return request


def main(server: str, out: Path) -> None:
    scene = blender_helpers.make_empty_scene()
    blender_helpers.enable()
    blender_helpers.set_server(server)
    manager, state = blender_helpers.request_manager(), scene.layert2v
    state.prompt, state.folder = "a red fox running", str(out / "stacks")
    state.frames, state.own_sampling = 5, True

    bpy.ops.layert2v.connect()
    blender_helpers.pump_until(lambda: bool(getattr(manager.server_status, "message", "")))
    away = manager.server_status.message
    could_generate = bpy.ops.layert2v.generate.poll()
    (out / "reported").touch()
    blender_helpers.pump_until(blender_helpers.is_connected)

    survivor = generate(steps=40)
    (out / "generating").touch()
    blender_helpers.pump_until(lambda: survivor.end and not manager.busy, 300)
    after_restart = len(state.stacks)

    cancelled = generate(steps=200)
    bpy.ops.layert2v.cancel(request_id=cancelled.id)
    blender_helpers.pump_until(lambda: cancelled.end)
    blender_helpers.write_result(
        away=away,
        could_generate=could_generate,
        survivor=survivor.outcome,
        after_restart=after_restart,
        cancelled=cancelled.outcome,
        left=[str(path) for path in Path(cancelled.folder).glob("**/*") if path.is_file()],
        stacks=len(state.stacks),
        open=len(state.requests),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
