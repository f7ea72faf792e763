"""A whole job in the real interface, with the mouse: connect, generate, and see the result.

    python blender_panel.py SERVER STACKS PICTURES

Photographs the panel idle, running, done and with an error as PICTURES/<state>.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_lab
import bpy
from blender_window import Window

PROMPT = "a red fox running through a snowy forest at sunset"
NOBODY = "127.0.0.1:9"  # discard: reserved, and nothing listens there


def prepare(server: str, stacks: str) -> None:
    blender_lab.use_server(server)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 112, 80
    scene.frame_start, scene.frame_end = 1001, 1009
    scene.layert2v.prompt = PROMPT
    scene.layert2v.seed = "7"
    scene.layert2v.folder = stacks


def compositor(window: Window) -> bpy.types.Area:
    """The node editor of the workspace that Blender has for it."""
    first = bpy.context.window_manager.windows[0]
    first.workspace = bpy.data.workspaces["Compositing"]
    window.spin(20)
    areas = [area for area in first.screen.areas if area.type == "NODE_EDITOR"]
    return max(areas, key=lambda area: area.width * area.height)


def main(server: str, stacks: str, pictures: Path) -> None:
    window = Window()
    blender_lab.enable()
    prepare(server, stacks)
    desk, state = blender_lab.part("session").desk, bpy.context.scene.layert2v
    area = compositor(window)
    sidebar = window.show_tab(area, "LayerT2V")
    window.click(area, sidebar, "layert2v.connect")
    window.wait(blender_lab.connected, 120)
    window.spin(20)
    window.picture(pictures / "idle.png")
    window.click(area, sidebar, "layert2v.generate")
    [request] = desk.requests.values()
    window.wait(lambda: request.ended or getattr(request.changed, "fraction", 0) > 0.4, 200)
    assert request.is_open, request.ended
    running = request.changed.state
    window.picture(pictures / "running.png")
    window.wait(lambda: request.failed or len(state.stacks) == 1, 200)
    assert not request.failed, request.ended
    with window.override(area):
        bpy.ops.node.view_all()
    window.spin(60)
    window.picture(pictures / "done.png")
    blender_lab.use_server(NOBODY)
    desk.connect()
    window.wait(lambda: getattr(desk.status, "message", "") != "", 60)
    window.spin(20)
    window.picture(pictures / "error.png")
    blender_lab.answer(
        running=running,
        outcome=request.outcome,
        folder=request.folder,
        layers=[layer.name for layer in state.stacks[0].layers],
        message=desk.status.message,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
