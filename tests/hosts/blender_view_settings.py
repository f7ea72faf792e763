"""Imports a stack into all three editors and reports how the scene is viewed before and after.

python blender_view_settings.py STACK
"""

from __future__ import annotations

import sys

import blender_helpers
import bpy


def view_settings(scene: bpy.types.Scene) -> list[object]:
    view = scene.view_settings
    return [
        scene.display_settings.display_device,
        view.view_transform,
        view.look,
        round(view.exposure, 6),
        round(view.gamma, 6),
        scene.sequencer_colorspace_settings.name,
    ]


def has_view(scene: bpy.types.Scene, name: str) -> bool:
    """Tell whether the configuration has a view, by choosing it."""
    try:
        scene.view_settings.view_transform = name
    except TypeError:
        return False
    return True


def main(stack: str) -> None:
    scene = blender_helpers.make_empty_scene()
    blender_helpers.enable()
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    before = view_settings(scene)
    importing = bpy.ops.layert2v.import_stack
    assert importing("EXEC_DEFAULT", True, directory=stack, target="COMPOSITOR") == {"FINISHED"}
    assert bpy.ops.layert2v.open_planes("EXEC_DEFAULT", True) == {"FINISHED"}
    assert bpy.ops.layert2v.open_strips("EXEC_DEFAULT", True) == {"FINISHED"}
    after = view_settings(scene)
    blender_helpers.write_result(
        before=before, after=after, has_standard=has_view(scene, "Standard")
    )


if __name__ == "__main__":
    main(sys.argv[1])
