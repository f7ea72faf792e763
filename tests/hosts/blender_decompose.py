"""Footage taken apart from an image sequence, with a drawn box; what clips, strips, masks give.

python blender_decompose.py SERVER OUT FOOTAGE

Renders every output of the stack's node into OUT/decomposed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import blender_render
import bpy
from blender_rerender import prepare, run_operator


def load_sequence(folder: Path) -> bpy.types.Image:
    files = sorted(folder.iterdir())
    image = bpy.data.images.load(str(files[0]))
    image.source = "SEQUENCE"
    return image


def add_strip(scene: bpy.types.Scene, folder: Path) -> bpy.types.Strip:
    """Return an image strip that is cut by a frame at both ends."""
    editor = scene.sequence_editor_create()
    strips = blender_helpers.addon_module("versions").strips(editor)
    files = sorted(folder.iterdir())
    strip = strips.new_image("shot", str(files[0]), 1, 1)
    for file in files[1:]:
        strip.elements.append(file.name)
    strip.frame_final_duration = len(files)
    strip.frame_offset_start, strip.frame_offset_end = 1, 1
    editor.active_strip = strip
    return strip


def add_mask() -> bpy.types.Mask:
    """Return a mask with a square over the middle quarter of a square picture."""
    mask = bpy.data.masks.new("square")
    spline = mask.layers.new(name="layer").splines.new()
    corners = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
    spline.points.add(len(corners) - len(spline.points))
    for point, corner in zip(spline.points, corners, strict=True):
        point.handle_left_type = point.handle_right_type = "VECTOR"
        point.co = point.handle_left = point.handle_right = corner
    spline.use_cyclic = True
    return mask


def main(server: str, out: Path, footage: Path) -> None:
    scene = prepare(server, out)
    sources = blender_helpers.addon_module("footage.sources")
    masks = blender_helpers.addon_module("footage.mask_files")
    panel, operators = scene.layert2v, bpy.ops.layert2v
    result: dict[str, object] = {"empty": not operators.decompose.poll()}

    panel.footage_image = load_sequence(footage)
    panel.footage_range, panel.footage_first, panel.footage_last = True, 1001, 1005
    for name in ("the wall", "the disc"):
        operators.subject_add("EXEC_DEFAULT", True)
        panel.subjects[panel.active_subject].name = name
    operators.subject_move("EXEC_DEFAULT", True, direction="UP")
    result["order"] = [each.name for each in panel.subjects]
    panel.active_subject = 1
    operators.subject_remove("EXEC_DEFAULT", True)
    subject = panel.subjects[0]
    subject.name, subject.frame, subject.has_box, subject.box = "", 1001, True, (4, 18, 24, 24)

    folder = run_operator(operators.decompose)
    item = scene.layert2v.stacks[0]
    result |= {
        "folder": folder,
        "layers": [layer.name for layer in item.layers],
        "first_file": item.first_file,
        "actions": [state.action for state in item.history],
    }
    scene.frame_end = scene.frame_start + item.frames - 1
    blender_render.set_format(scene, item.width, item.height)
    blender_render.render_sockets(scene, out / "decomposed")

    panel.footage_kind = "CLIP"
    panel.footage_clip = bpy.data.movieclips.load(str(sorted(footage.iterdir())[0]))
    clip = sources.find_footage(panel, None)
    panel.footage_kind = "STRIP"
    strip = sources.find_footage(panel, add_strip(scene, footage))
    result["clip"] = [*map(lambda path: Path(path).name, clip.paths), *clip.size]
    result["strip"] = [Path(path).name for path in strip.paths]

    mask, size = add_mask(), (64, 32)
    wide = masks.rasterize(masks.outlines(mask, size), size)
    result["mask"] = [sum(map(sum, wide)) / 255, wide[16][32], wide[16][8]]
    written = masks.write_mask(mask, out / "masks", {7: 1}, size)
    image = bpy.data.images.load(written[0])
    result["mask_file"] = [Path(written[0]).name, *image.size, image.pixels[(16 * 64 + 32) * 4]]

    item.active_layer = item.layers.find("bg")
    result["refine_bg"] = operators.refine_mask.poll()
    item.active_layer = item.layers.find("fg_01")
    result["no_points"] = operators.refine_points.poll()
    point = item.layers["fg_01"].corrections.add()
    point.frame, point.place = 1001, (60, 30)
    run_operator(operators.refine_points)
    result["points_left"] = len(item.layers["fg_01"].corrections)
    panel.refine_mask = mask
    run_operator(operators.refine_mask)
    result["refined"] = [state.action for state in item.history]
    left = blender_helpers.addon_module("settings").user_folder() / "plates"
    result["left"] = len([*left.glob("*")])
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    stacks = bpy.context.scene.layert2v.stacks
    result["undone"] = [state.action for state in stacks[0].history]
    bpy.ops.ed.undo()
    result["stacks"] = len(bpy.context.scene.layert2v.stacks)
    blender_helpers.write_result(**result)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
