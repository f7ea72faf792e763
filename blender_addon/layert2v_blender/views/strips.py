"""A stack in the sequencer: one image strip per layer, the lowest layer in the lowest channel."""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from .. import versions
from ..stack_view import COLORSPACES, Shown, ShownLayer
from .images import TAG, PictureMissing, tag

LINEAR = "Linear Rec.709"


def place(scene: bpy.types.Scene, shown: Shown) -> None:
    """Add the strips above everything that is there, where the stack has none yet."""
    if not _of_stack(scene, shown):
        channel = _free_channel(scene)
        for offset, layer in enumerate(shown.layers):
            _new(scene, shown, layer, channel + offset)


def refresh(scene: bpy.types.Scene, shown: Shown) -> None:
    """Bring the strips of a stack to what is shown; where they were put in time stays."""
    ours = _of_stack(scene, shown)
    if not ours:
        return
    top = versions.strips(scene.sequence_editor)
    wanted = {tag(shown, layer): layer for layer in shown.layers}
    for strip in ours:
        layer = wanted.get(strip[TAG])
        if layer is not None:
            _set_files(strip, shown, layer)
        elif strip.name in top:
            top.remove(strip)
    _order(scene, shown)


def blends_linear(scene: bpy.types.Scene) -> bool:
    """Whether the sequencer lays strips over one another in linear light, as the layers need."""
    return scene.sequencer_colorspace_settings.name in COLORSPACES.values()


def blend_linear(scene: bpy.types.Scene) -> None:
    """Make the sequencer work in linear light; other strips that are mixed will look different."""
    scene.sequencer_colorspace_settings.name = LINEAR


def _of_stack(scene: bpy.types.Scene, shown: Shown) -> list[bpy.types.Strip]:
    editor = scene.sequence_editor
    strips = [] if editor is None else versions.all_strips(editor)
    return [strip for strip in strips if str(strip.get(TAG, "")).startswith(f"{shown.uid}/")]


def _free_channel(scene: bpy.types.Scene) -> int:
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return 1 + max((strip.channel for strip in versions.strips(editor)), default=0)


def _new(scene: bpy.types.Scene, shown: Shown, layer: ShownLayer, channel: int) -> bpy.types.Strip:
    first, *others = shown.files(layer)
    if not first.is_file():
        raise PictureMissing(f"{first} is missing; was the stack folder moved or deleted?")
    strip = versions.strips(scene.sequence_editor).new_image(
        name=f"{shown.name} {layer.name}",
        filepath=str(first),
        channel=channel,
        frame_start=shown.first_frame,
        fit_method="FIT",
    )
    for file in others:
        strip.elements.append(file.name)
    strip[TAG] = tag(shown, layer)
    strip.blend_type = "ALPHA_OVER"
    strip.alpha_mode = "PREMUL"
    strip.use_float = True
    strip.colorspace_settings.name = COLORSPACES.get(shown.colorspace, LINEAR)
    strip.mute = not layer.visible
    return strip


def _set_files(strip: bpy.types.Strip, shown: Shown, layer: ShownLayer) -> None:
    files = shown.files(layer)
    strip.mute = not layer.visible
    folder = files[0].parent
    if Path(bpy.path.abspath(strip.directory)).resolve() == folder:
        return
    for element, file in zip(strip.elements, files, strict=False):
        element.filename = file.name
    strip.directory = f"{folder}{os.sep}"  # last: it also drops what was cached


def _order(scene: bpy.types.Scene, shown: Shown) -> None:
    """Give every layer a strip, in order; only where that is not so are channels changed."""
    ours = {strip[TAG]: strip for strip in _of_stack(scene, shown)}
    marks = [tag(shown, layer) for layer in shown.layers]
    channels = [ours[mark].channel for mark in marks if mark in ours]
    if len(channels) == len(marks) and channels == sorted(channels):
        return
    channel = _free_channel(scene)
    for offset, (mark, layer) in enumerate(zip(marks, shown.layers, strict=True)):
        if mark in ours:
            ours[mark].channel = channel + offset
        else:
            _new(scene, shown, layer, channel + offset)
