"""Layers as Blender's image data: one image per layer, shared by all places that show it.

A new version changes the image's path, so nodes, materials and their links stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import bpy

from ..stack_view import COLORSPACES, Shown, ShownLayer

TAG = "layert2v"  # the custom property by which our data is known again


class PictureMissing(Exception):
    """A layer's first file is not where the stack says; the message is for the artist."""


def tag(shown: Shown, layer: ShownLayer) -> str:
    """What marks data that belongs to a layer of a stack."""
    return f"{shown.uid}/{layer.name}"


def picture(shown: Shown, layer: ShownLayer) -> bpy.types.Image:
    """The image of a layer, made or brought to the version shown. Raises ``PictureMissing``."""
    first = shown.files(layer)[0]
    if not first.is_file():
        raise PictureMissing(f"{first} is missing; was the stack folder moved or deleted?")
    mark = tag(shown, layer)
    image = next((one for one in bpy.data.images if one.get(TAG) == mark), None)
    if image is None:
        image = bpy.data.images.load(str(first))
        image.name = f"{shown.name} {layer.name}"
        image[TAG] = mark
        image.source = "SEQUENCE"
    if Path(bpy.path.abspath(image.filepath)).resolve() != first:
        image.filepath = str(first)
        image.reload()
    image.alpha_mode = "PREMUL"
    # Explicitly: 4.x does not look at the file's tags, 5.x looks at one of them.
    wanted = COLORSPACES.get(shown.colorspace, "Linear Rec.709")
    if image.colorspace_settings.name != wanted:
        image.colorspace_settings.name = wanted
    return image


def set_time(user: bpy.types.CompositorNodeImage | bpy.types.ImageUser, shown: Shown) -> None:
    """Show each file at its frame; the file has number frame - frame_start + 1 + frame_offset."""
    user.frame_duration = shown.frames
    user.frame_start = shown.first_frame
    user.frame_offset = shown.first_file - 1
    user.use_auto_refresh = True


def forget(shown: Shown) -> None:
    """Let go of images of layers that the stack no longer has."""
    known = {tag(shown, layer) for layer in shown.layers}
    for image in list(bpy.data.images):
        mark = str(image.get(TAG, ""))
        if mark.startswith(f"{shown.uid}/") and mark not in known and image.users == 0:
            bpy.data.images.remove(image)
