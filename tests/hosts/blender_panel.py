"""A whole job in the real interface, with the mouse: connect, generate, and see the result.

    python blender_panel.py SERVER STACKS PICTURES

Photographs the panel idle, running, done, with an error, and where a prompt names no subject that
the model knows, as PICTURES/<state>.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import bpy
from blender_window import Window
from shipped_model import FRAMES, HEIGHT, WIDTH

PROMPT = "a red fox running through a snowy forest at sunset"
UNKNOWN = "a woman in a red dress on a beach"
SIDEBAR = 370  # pixels that it covers of the graph
SINKS = ("CompositorNodeComposite", "NodeGroupOutput")
NOBODY = "127.0.0.1:9"  # discard: reserved, and nothing listens there


def prepare(server: str, stacks: str) -> None:
    blender_helpers.set_server(server)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.render.compositor_device = "CPU"
    scene.frame_start, scene.frame_end = 1001, 1000 + FRAMES
    scene.frame_set(1005)
    scene.layert2v.prompt = PROMPT
    scene.layert2v.seed = "7"
    scene.layert2v.folder = stacks


def open_compositor(window: Window) -> bpy.types.Area:
    """Return the node editor of the workspace that Blender has for it, over the full screen."""
    first = bpy.context.window_manager.windows[0]
    first.workspace = bpy.data.workspaces["Compositing"]
    window.spin(20)
    area = next(area for area in first.screen.areas if area.type == "NODE_EDITOR")
    with window.override(area):
        bpy.ops.screen.screen_full_area()
    window.spin(20)
    area = next(area for area in first.screen.areas if area.type == "NODE_EDITOR")
    space = area.spaces.active
    space.show_backdrop, space.backdrop_zoom = True, 5.0
    if hasattr(space, "show_region_asset_shelf"):  # 5.0 on
        with window.override(area):
            space.show_region_asset_shelf = False
    return area


def show_stack(window: Window, area: bpy.types.Area) -> None:
    """Show the stack alone in the graph and in the backdrop."""
    tree = blender_helpers.addon_module("versions").compositor_tree(bpy.context.scene)
    for node in list(tree.nodes):
        if node.bl_idname in ("CompositorNodeRLayers", "CompositorNodeViewer", "NodeReroute"):
            tree.nodes.remove(node)
    bpy.ops.layert2v.render_comp()
    group = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeGroup")
    viewer = tree.nodes.new("CompositorNodeViewer")
    tree.links.new(group.outputs["comp"], viewer.inputs[0])
    sink = next(node for node in tree.nodes if node.bl_idname in SINKS)
    group.location, sink.location, viewer.location = (-50, 0), (710, 40), (710, -80)
    for node in tree.nodes:
        node.select = False
    window.spin(20)
    with window.override(area):
        bpy.ops.node.view_all()
        for _ in range(3):
            bpy.ops.view2d.zoom_out()
        bpy.ops.view2d.pan(deltax=SIDEBAR // 2)
        area.spaces.active.backdrop_offset = (-SIDEBAR / 2, 0)
    window.spin(80)


def main(server: str, stacks: str, pictures: Path) -> None:
    window = Window()
    blender_helpers.enable()
    prepare(server, stacks)
    manager, state = blender_helpers.request_manager(), bpy.context.scene.layert2v
    area = open_compositor(window)
    sidebar = window.show_tab(area, "LayerT2V")
    window.widen(sidebar, 80)
    window.click(area, sidebar, "layert2v.connect")
    window.wait(blender_helpers.is_connected, 120)
    window.spin(20)
    window.picture(pictures / "idle.png", sidebar)
    state.prompt = UNKNOWN
    window.click(area, sidebar, "layert2v.generate")
    [request] = manager.requests.values()
    window.wait(lambda: request.end is not None, 200)
    window.spin(20)
    window.picture(pictures / "nearest.png", sidebar)
    offers_nearest = request.may_show_nearest
    bpy.ops.layert2v.dismiss("EXEC_DEFAULT", True, request_id=request.id)
    state.prompt = PROMPT
    window.click(area, sidebar, "layert2v.generate")
    [request] = manager.requests.values()
    window.wait(lambda: request.end or getattr(request.last_update, "fraction", 0) > 0.4, 200)
    assert request.is_open, request.end
    running = request.last_update.state
    window.spin(40)  # Blender reads the thumbnail in a job of its own
    window.picture(pictures / "running.png", sidebar)
    window.wait(lambda: request.has_failed or len(state.stacks) == 1, 200)
    assert not request.has_failed, request.end
    show_stack(window, area)
    window.picture(pictures / "done.png")
    blender_helpers.set_server(NOBODY)
    manager.connect()
    window.wait(lambda: getattr(manager.server_status, "message", "") != "", 60)
    window.spin(20)
    window.picture(pictures / "error.png", sidebar)
    blender_helpers.write_result(
        running=running,
        offers_nearest=offers_nearest,
        outcome=request.outcome,
        folder=request.folder,
        layers=[layer.name for layer in state.stacks[0].layers],
        message=manager.server_status.message,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
