"""A server of this machine's own, and what the panel says of the model's limits.

python blender_addon_local.py PYTHON_WITH_THE_ENGINE FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import blender_lab
import bpy


def is_over(process: int) -> bool:
    """Whether a process has ended within some seconds."""
    for _ in range(300):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def main(engine: str, folder: Path) -> None:
    scene = blender_lab.empty_scene()
    blender_lab.enable()
    own = bpy.context.preferences.addons[blender_lab.EXTENSION].preferences
    preferences, catalogue = blender_lab.part("preferences"), blender_lab.part("catalogue")
    own.engine = str(folder / "absent")
    without = preferences.why_not_connect()
    own.engine, own.cache = engine, str(folder / "cache")
    assert bpy.ops.layert2v.connect("EXEC_DEFAULT") == {"FINISHED"}
    blender_lab.pump_until(blender_lab.connected, 200)
    models = [model.name for model in blender_lab.part("session").desk.status.models]
    fit = blender_lab.part("wishes").fit(scene, catalogue.chosen(scene)).sentence
    [address] = folder.rglob("address.json")
    process = json.loads(address.read_text())["pid"]
    blender_lab.disable()
    ended = is_over(process)
    blender_lab.enable()
    own = bpy.context.preferences.addons[blender_lab.EXTENSION].preferences
    remembered = [model.name for model in blender_lab.part("catalogue").models()]
    blender_lab.answer(without=without, models=models, fit=fit, ended=ended, remembered=remembered)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
