"""A stack in the sequencer: one image strip per layer, the lowest layer in the lowest channel."""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from .. import colorspaces, versions
from ..stack_view import LayerView, StackView
from .images import TAG, check_first_file, layer_tag


def place(scene: bpy.types.Scene, view: StackView) -> None:
    """Add the strips above everything that is there, if the stack has none yet."""
    if not _stack_strips(scene, view):
        channel = _free_channel(scene)
        for offset, layer in enumerate(view.layers):
            _add_strip(scene, view, layer, channel + offset)


def refresh(scene: bpy.types.Scene, view: StackView) -> None:
    """Update the strips of a stack to its view; where they were put in time stays."""
    strips = _stack_strips(scene, view)
    if not strips:
        return
    top_level = versions.strips(scene.sequence_editor)
    layers = {layer_tag(view, layer): layer for layer in view.layers}
    for strip in strips:
        layer = layers.get(strip[TAG])
        if layer is not None:
            _set_files(strip, view, layer)
        elif strip.name in top_level:
            top_level.remove(strip)
    _sort_strips(scene, view)


def is_linear(scene: bpy.types.Scene) -> bool:
    """Return whether the sequencer blends strips in linear light, as the layers need."""
    return colorspaces.is_linear_name(scene.sequencer_colorspace_settings.name)


def blend_linear(scene: bpy.types.Scene) -> None:
    """Make the sequencer blend in linear light; other strips that are mixed look different.

    Raises ``ColorspaceNotFound``.
    """
    _, name = colorspaces.find_linear(colorspaces.current_offer())
    scene.sequencer_colorspace_settings.name = name


def _stack_strips(scene: bpy.types.Scene, view: StackView) -> list[bpy.types.Strip]:
    editor = scene.sequence_editor
    strips = [] if editor is None else versions.all_strips(editor)
    return [strip for strip in strips if str(strip.get(TAG, "")).startswith(f"{view.uid}/")]


def _free_channel(scene: bpy.types.Scene) -> int:
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return 1 + max((strip.channel for strip in versions.strips(editor)), default=0)


def _add_strip(
    scene: bpy.types.Scene, view: StackView, layer: LayerView, channel: int
) -> bpy.types.Strip:
    first = check_first_file(view, layer)
    colorspace = colorspaces.find_name(
        view.colorspace, colorspaces.current_offer(), nearest=view.nearest_colorspace
    )
    strip = versions.strips(scene.sequence_editor).new_image(
        name=f"{view.name} {layer.name}",
        filepath=str(first),
        channel=channel,
        frame_start=view.first_frame,
        fit_method="FIT",
    )
    for file in view.files(layer)[1:]:
        strip.elements.append(file.name)
    strip[TAG] = layer_tag(view, layer)
    strip.blend_type = "ALPHA_OVER"
    strip.alpha_mode = "PREMUL"
    strip.use_float = True
    strip.colorspace_settings.name = colorspace
    strip.mute = not layer.visible
    return strip


def _set_files(strip: bpy.types.Strip, view: StackView, layer: LayerView) -> None:
    files = view.files(layer)
    strip.mute = not layer.visible
    folder = files[0].parent
    if Path(bpy.path.abspath(strip.directory)).resolve() == folder:
        return
    for element, file in zip(strip.elements, files, strict=False):
        element.filename = file.name
    strip.directory = f"{folder}{os.sep}"  # last: it also drops what was cached


def _sort_strips(scene: bpy.types.Scene, view: StackView) -> None:
    """Give every layer a strip, in order; channels are changed only if the order is wrong."""
    strips = {strip[TAG]: strip for strip in _stack_strips(scene, view)}
    tags = [layer_tag(view, layer) for layer in view.layers]
    channels = [strips[tag].channel for tag in tags if tag in strips]
    if len(channels) == len(tags) and channels == sorted(channels):
        return
    channel = _free_channel(scene)
    for offset, (tag, layer) in enumerate(zip(tags, view.layers, strict=True)):
        if tag in strips:
            strips[tag].channel = channel + offset
        else:
            _add_strip(scene, view, layer, channel + offset)
