"""A server of this machine's own, and what the panel says of the model's limits.

python blender_local_server.py PYTHON_WITH_THE_ENGINE FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import blender_helpers
import bpy


def has_ended(process: int) -> bool:
    """Return whether a process ends within some seconds."""
    for _ in range(300):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def main(engine: str, folder: Path) -> None:
    scene = blender_helpers.make_empty_scene()
    blender_helpers.enable()
    own = bpy.context.preferences.addons[blender_helpers.EXTENSION].preferences
    own.engine = str(folder / "absent")
    reason = blender_helpers.addon_module("settings").offline_reason()
    own.engine, own.cache = engine, str(folder / "cache")
    assert bpy.ops.layert2v.connect("EXEC_DEFAULT") == {"FINISHED"}
    blender_helpers.pump_until(blender_helpers.is_connected, 200)
    models = [model.name for model in blender_helpers.request_manager().server_status.models]
    model = blender_helpers.addon_module("model_cache").selected_model(scene)
    size = blender_helpers.addon_module("specs").output_size(scene, model).text
    [address] = folder.rglob("address.json")
    process = json.loads(address.read_text())["pid"]
    blender_helpers.disable()
    ended = has_ended(process)
    blender_helpers.enable()
    own = bpy.context.preferences.addons[blender_helpers.EXTENSION].preferences
    remembered = [model.name for model in blender_helpers.addon_module("model_cache").models()]
    blender_helpers.write_result(
        reason=reason, models=models, size=size, ended=ended, remembered=remembered
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
