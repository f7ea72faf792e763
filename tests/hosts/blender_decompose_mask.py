"""Footage taken apart with a mask: on one frame as a hint, and on all frames as the matte.

python blender_decompose_mask.py SERVER OUT FOOTAGE X Y RADIUS WIDTH HEIGHT

The mask is a circle, in pixels of the footage from the top left. The footage is never shown, so
that Blender does not know its size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import bpy
from blender_decompose import load_sequence
from blender_rerender import prepare, run_operator

ARM = 0.5523  # of the radius: the handles of a circle in four curves


def add_circle(size: tuple[int, int], x: float, y: float, radius: float) -> bpy.types.Mask:
    """Return a mask with a circle; masks are square, and their shorter side is in the middle."""
    width, height = size
    longest = max(size)
    mask = bpy.data.masks.new("circle")
    spline = mask.layers.new(name="layer").splines.new()
    spline.points.add(4 - len(spline.points))
    spline.use_cyclic = True

    def place(dx: float, dy: float) -> tuple[float, float]:
        left, top = x + radius * dx - width / 2, y + radius * dy - height / 2
        return 0.5 + left / longest, 0.5 - top / longest

    for point, (dx, dy) in zip(spline.points, ((1, 0), (0, 1), (-1, 0), (0, -1)), strict=True):
        point.handle_left_type = point.handle_right_type = "FREE"
        point.co = place(dx, dy)
        point.handle_left = place(dx + ARM * dy, dy - ARM * dx)
        point.handle_right = place(dx - ARM * dy, dy + ARM * dx)
    return mask


def main(
    server: str,
    out: Path,
    footage: Path,
    circle: tuple[float, float, float],
    size: tuple[int, int],
) -> None:
    scene = prepare(server, out)
    panel, operators = scene.layert2v, bpy.ops.layert2v
    panel.footage_image = load_sequence(footage)
    operators.subject_add("EXEC_DEFAULT", True)
    subject = panel.subjects[0]
    subject.mask, subject.frame = add_circle(size, *circle), 1001
    hinted = run_operator(operators.decompose)

    subject.mask_all = True
    panel.footage_range, panel.footage_first, panel.footage_last = True, 1001, 1002
    matted = run_operator(operators.decompose)
    folder = blender_helpers.addon_module("settings").user_folder() / "plates"
    bpy.ops.ed.undo()
    left = [item.name for item in bpy.context.scene.layert2v.stacks]
    blender_helpers.write_result(
        hinted=hinted, matted=matted, after_undo=left, left=len([*folder.glob("*")])
    )


if __name__ == "__main__":
    server, out, footage, x, y, radius, width, height = sys.argv[1:]
    circle = (float(x), float(y), float(radius))
    main(server, Path(out), Path(footage), circle, (int(width), int(height)))
