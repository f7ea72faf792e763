"""Layers as Blender's image data: one image per layer, shared by every view that shows it.

A new version changes the image's path, so nodes, materials and their links stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import colorspaces
from ..stack_view import LayerView, StackView

TAG = "layert2v"  # the custom property that marks data of ours


class ImageNotFound(Exception):
    """A layer's first file is not where the stack says; the message is for the artist."""


def layer_tag(view: StackView, layer: LayerView) -> str:
    """Return the value of ``TAG`` on data that belongs to a layer of a stack."""
    return f"{view.uid}/{layer.name}"


def shows_stack(image: bpy.types.Image, uid: str) -> bool:
    """Return whether an image is one of a stack's."""
    return str(image.get(TAG, "")).startswith(f"{uid}/")


def check_first_file(view: StackView, layer: LayerView) -> Path:
    """Return the first file of a layer. Raises ``ImageNotFound`` if it is not there."""
    first = view.files(layer)[0]
    if not first.is_file():
        raise ImageNotFound(f"{first} is missing; was the stack folder moved or deleted?")
    return first


def load_image(view: StackView, layer: LayerView) -> bpy.types.Image:
    """Return the image of a layer at the version that is shown.

    Raises ``ImageNotFound`` or ``ColorspaceNotFound``.
    """
    first = check_first_file(view, layer)
    colorspace = image_colors(view).name
    tag = layer_tag(view, layer)
    image = next((image for image in bpy.data.images if image.get(TAG) == tag), None)
    if image is None:
        image = bpy.data.images.load(str(first))
        image.name = f"{view.name} {layer.name}"
        image[TAG] = tag
        image.source = "SEQUENCE"
    if Path(bpy.path.abspath(image.filepath)).resolve() != first:
        image.filepath = str(first)
        image.reload()
    image.alpha_mode = "PREMUL"
    # Explicitly: 4.x does not look at the file's tags, 5.x looks at one of them.
    if image.colorspace_settings.name != colorspace:
        image.colorspace_settings.name = colorspace
    return image


def refresh(view: StackView) -> None:
    """Update images that are shown by no more than an image editor.

    Raises ``ImageNotFound`` or ``ColorspaceNotFound``.
    """
    loaded = {image.get(TAG) for image in bpy.data.images}
    for layer in view.layers:
        if layer_tag(view, layer) in loaded:
            load_image(view, layer)


def image_colors(view: StackView) -> colorspaces.ImageColors:
    """Return how nodes show the colors of a stack. Raises ``ColorspaceNotFound``."""
    return colorspaces.find_image_colors(
        view.colorspace, colorspaces.current_offer(), nearest=view.nearest_colorspace
    )


def set_frame_range(
    user: bpy.types.CompositorNodeImage | bpy.types.ImageUser, view: StackView
) -> None:
    """Show each file at its frame; the file has number frame - frame_start + 1 + frame_offset."""
    user.frame_duration = view.frames
    user.frame_start = view.first_frame
    user.frame_offset = view.first_file - 1
    user.use_auto_refresh = True


def remove_unused(view: StackView) -> None:
    """Remove images of layers that the stack no longer has, unless something uses them."""
    current = {layer_tag(view, layer) for layer in view.layers}
    for image in list(bpy.data.images):
        if shows_stack(image, view.uid) and image[TAG] not in current and image.users == 0:
            bpy.data.images.remove(image)
