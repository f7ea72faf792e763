"""Footage with a cut becomes a stack for each shot, one after the other in the sequencer.

python blender_decompose_edit.py SERVER OUT FOOTAGE
"""

from __future__ import annotations

import sys
from pathlib import Path

import blender_helpers
import bpy
from blender_decompose import load_sequence
from blender_rerender import prepare


def decompose() -> list[object]:
    """Press the button and wait until nothing is expected any more; return what is left."""
    manager = blender_helpers.request_manager()
    assert bpy.ops.layert2v.decompose("EXEC_DEFAULT", True) == {"FINISHED"}
    blender_helpers.pump_until(lambda: not manager.busy, 300)
    return [getattr(request.end, "reason", "") for request in manager.requests.values()]


def main(server: str, out: Path, footage: Path) -> None:
    scene = prepare(server, out)
    panel = scene.layert2v
    panel.footage_image, panel.target = load_sequence(footage), "STRIPS"
    bpy.ops.layert2v.subject_add("EXEC_DEFAULT", True)
    subject = panel.subjects[0]
    subject.frame, subject.has_box, subject.box = 1004, True, (4, 18, 24, 24)
    refused = decompose()
    panel.footage_split = True
    left = decompose()
    strips = blender_helpers.addon_module("versions").strips(scene.sequence_editor)
    blender_helpers.write_result(
        refused=refused,
        left=left,
        stacks=[[item.name, item.first_file, item.first_frame] for item in panel.stacks],
        folders=[item.folder for item in panel.stacks],
        strips=sorted({int(strip.frame_final_start) for strip in strips}),
        saved=len(panel.requests),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
