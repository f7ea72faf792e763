"""A render as a plate in the real interface, where it runs beside everything else.

python blender_plate_window.py SERVER STACK
"""

from __future__ import annotations

import sys

import blender_helpers
import bpy
from blender_plates import render_settings
from blender_window import Window


def main(server: str, stack: str) -> None:
    window = Window()
    blender_helpers.enable()
    blender_helpers.set_server(server)
    scene, manager = bpy.context.scene, blender_helpers.request_manager()
    manager.connect()
    window.wait(blender_helpers.is_connected, 60)
    bpy.ops.layert2v.import_stack("EXEC_DEFAULT", True, directory=stack)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    before = render_settings(scene)
    area = max(bpy.context.window_manager.windows[0].screen.areas, key=lambda one: one.width)
    with window.override(area):
        began = bpy.ops.layert2v.plate_render("INVOKE_DEFAULT", use="BACKGROUND")
    changed = render_settings(scene) != before
    item = scene.layert2v.stacks[0]
    window.wait(lambda: len(item.history) == 2, 120)
    blender_helpers.write_result(
        began=list(began),
        changed=changed,
        same=render_settings(scene) == before,
        actions=[state.action for state in item.history],
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
