"""Footage in the image editor of the real interface: a box is drawn, and it becomes layers.

The place of a foreground is drawn there, too.

python blender_footage_panel.py SERVER OUT FOOTAGE PICTURES

Photographs the editor with the box, and the result, as PICTURES/footage_{box,done}.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import bpy
from blender_decompose import load_sequence
from blender_window import Window


def open_image_editor(window: Window, image: bpy.types.Image) -> bpy.types.Area:
    """Return an image editor over the full screen that shows the image as large as it can."""
    first = bpy.context.window_manager.windows[0]
    area = max(first.screen.areas, key=lambda one: one.width * one.height)
    area.ui_type = "IMAGE_EDITOR"
    window.spin(10)
    with window.override(area):
        bpy.ops.screen.screen_full_area()
    window.spin(20)
    area = next(one for one in first.screen.areas if one.type == "IMAGE_EDITOR")
    space = area.spaces.active
    space.image = image
    space.image_user.frame_start, space.image_user.frame_duration = 1001, 6
    space.image_user.frame_offset = 1000
    window.spin(20)
    with window.override(area):
        bpy.ops.image.view_all(fit_view=True)
    window.spin(20)
    return area


def drag(
    window: Window, area: bpy.types.Area, start: tuple[int, int], end: tuple[int, int]
) -> None:
    """Drag from one pixel of the image to another, both y down."""
    window.drag(screen_place(area, start), screen_place(area, end))


def screen_place(area: bpy.types.Area, pixel: tuple[int, int]) -> tuple[int, int]:
    """Return where in the window a pixel of the image is, both y down."""
    region = next(one for one in area.regions if one.type == "WINDOW")
    height = bpy.context.window_manager.windows[0].height
    width, rows = area.spaces.active.image.size
    x, y = region.view2d.view_to_region(pixel[0] / width, 1 - pixel[1] / rows, clip=False)
    return region.x + x, height - region.y - y


def main(server: str, out: Path, footage: Path, pictures: Path) -> None:
    window = Window()
    blender_helpers.enable()
    blender_helpers.set_server(server)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1001, 1006
    scene.frame_set(1001)
    panel, manager = scene.layert2v, blender_helpers.request_manager()
    panel.folder, panel.target = str(out / "stacks"), "COMPOSITOR"
    panel.footage_image = load_sequence(footage)
    panel.foregrounds.add().prompt = "a ball"
    area = open_image_editor(window, panel.footage_image)
    sidebar = window.show_tab(area, "LayerT2V")
    manager.connect()
    window.wait(blender_helpers.is_connected, 120)
    bpy.ops.layert2v.subject_add("EXEC_DEFAULT", True)
    panel.subjects[0].name = "the disc"
    window.spin(10)
    window.click(area, sidebar, "layert2v.draw_place")
    drag(window, area, (4, 18), (28, 42))
    window.spin(10)
    window.click(area, sidebar, "layert2v.draw_box")
    drag(window, area, (4, 18), (28, 42))
    window.spin(10)
    box = list(panel.subjects[0].box)
    window.picture(pictures / "footage_box.png")
    window.click(area, sidebar, "layert2v.decompose")
    [request] = manager.requests.values()
    window.wait(lambda: request.has_failed or len(panel.stacks) == 1, 200)
    assert not request.has_failed, request.end
    window.spin(20)
    window.picture(pictures / "footage_done.png")
    [stack] = panel.stacks
    stack.active_layer = stack.layers.find("fg_01")
    window.spin(5)
    window.click(area, sidebar, "layert2v.show_picture")
    window.click(area, sidebar, "layert2v.correction_add")
    window.press(*screen_place(area, (16, 30)))
    window.spin(10)
    window.picture(pictures / "footage_corrected.png")
    [correction] = stack.layers["fg_01"].corrections
    blender_helpers.write_result(
        frame=panel.subjects[0].frame,
        box=box,
        place=panel.foregrounds[0].place,
        size=list(panel.footage_image.size),
        layers=[layer.name for layer in stack.layers],
        shown=area.spaces.active.image.name,
        correction=[correction.frame, *correction.place, correction.outside],
    )


if __name__ == "__main__":
    main(sys.argv[1], *(Path(path) for path in sys.argv[2:5]))
