"""The stacks of a scene: read from their folders, listed, opened and refreshed in every view."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from layert2v import stack as manifest
from layert2v.plain_text import plain_line, plain_text

from . import model
from .colorspaces import ColorspaceNotFound
from .stack_view import LayerView, StackView
from .views import compositor, images, planes, strips
from .views.images import ImageNotFound

if TYPE_CHECKING:
    from .model import LAYERT2V_Layer, LAYERT2V_Stack


def add(scene: bpy.types.Scene, folder: Path, edit_start: int | None = None) -> LAYERT2V_Stack:
    """Add the stack of a folder to the scene's list, or read it again if it is there.

    ``edit_start`` is the first frame of an edit that it is a shot of: shots follow one another.
    Raises ``ManifestError``.
    """
    stack = manifest.read(folder)
    panel = scene.layert2v
    item = next((each for each in panel.stacks if stack_folder(each) == folder.resolve()), None)
    if item is None:
        item = panel.stacks.add()
        item.uid = uuid.uuid4().hex
        item.name = stack.name
        item.folder = _stored_path(folder)
        start = stack.start_frame if edit_start is None else edit_start
        item.first_frame = _first_frame(scene, start) + stack.start_frame - start
    _update_item(item, stack)
    panel.active_stack = [each.uid for each in panel.stacks].index(item.uid)
    return item


def stack_folder(item: LAYERT2V_Stack) -> Path:
    """Return the folder of a stack, absolute."""
    return Path(bpy.path.abspath(item.folder)).resolve()


def stack_view(item: LAYERT2V_Stack) -> StackView:
    """Return the stack as views show it."""
    return StackView(
        uid=item.uid,
        name=item.name,
        folder=stack_folder(item),
        width=item.width,
        height=item.height,
        pixel_aspect=item.pixel_aspect,
        frames=item.frames,
        first_file=item.first_file,
        first_frame=item.first_frame,
        colorspace=item.colorspace,
        nearest_colorspace=item.nearest_colorspace,
        layers=tuple(
            LayerView(name=layer.name, pattern=_shown_pattern(layer), visible=layer.visible)
            for layer in reversed(item.layers)
        ),
    )


def place(scene: bpy.types.Scene, item: LAYERT2V_Stack, target: str) -> None:
    """Open a stack in the compositor, as planes or as strips.

    Raises ``ImageNotFound`` or ``ColorspaceNotFound``.
    """
    view = stack_view(item)
    if target == "COMPOSITOR":
        compositor.place(scene, view)
    elif target == "PLANES":
        planes.place(scene, view)
    else:
        strips.place(scene, view)


def refresh(item: LAYERT2V_Stack) -> None:
    """Update every view of the stack; ``problem`` says why it cannot be shown."""
    view = stack_view(item)
    try:
        compositor.refresh(view)
        planes.refresh(view)
        images.refresh(view)
        for scene in bpy.data.scenes:
            strips.refresh(scene, view)
    except (ImageNotFound, ColorspaceNotFound) as error:
        item.problem = str(error)
    else:
        item.problem = ""
        images.remove_unused(view)


def register() -> None:
    """Refresh views whenever a property changes what is shown of a stack."""
    model.stack_listeners.append(refresh)


def unregister() -> None:
    model.stack_listeners.remove(refresh)


def _update_item(item: LAYERT2V_Stack, stack: manifest.Stack) -> None:
    for name in ("width", "height", "pixel_aspect", "fps", "frames", "colorspace", "model"):
        setattr(item, name, getattr(stack, name))
    item.first_file = stack.start_frame
    # Somebody else may have written the words of a stack.
    item.understood = plain_line(stack.prompt_interpretation)
    item.warning = plain_line(" ".join(stack.warnings))
    versions = _layer_versions(stack_folder(item), stack)
    _remove_others(item.layers, [layer.name for layer in stack.layers])
    for position, layer in enumerate(reversed(stack.layers)):
        if layer.name not in item.layers:
            item.layers.add().name = layer.name
        item.layers.move(item.layers.find(layer.name), position)
        _update_layer(item, item.layers[position], layer, versions[layer.name])
    item.active_layer = min(item.active_layer, len(item.layers) - 1)
    _update_history(item, stack)


def _update_layer(
    item: LAYERT2V_Stack,
    row: LAYERT2V_Layer,
    layer: manifest.Layer,
    versions: dict[int, manifest.Layer],
) -> None:
    row.stack = ""  # no refresh in between
    row.role = layer.role.value
    row.versions.clear()
    for number, version in sorted(versions.items(), reverse=True):
        entry = row.versions.add()
        entry.number, entry.pattern = number, version.pattern
        entry.prompt, entry.seed = plain_text(version.prompt), str(version.seed)
    if row.current != layer.version:  # otherwise the artist's choices stay
        row.current = layer.version
        row.shown = str(layer.version)
        row.prompt, row.seed = plain_text(layer.prompt), ""
        row.corrections.clear()
    row.stack = item.uid


def _update_history(item: LAYERT2V_Stack, stack: manifest.Stack) -> None:
    item.history.clear()
    for number, entry in reversed(list(enumerate(stack.history, 1))):
        row = item.history.add()
        row.number, row.action, row.note = number, entry.action, plain_line(entry.note)
        row.created = entry.created
        row.wish = json.dumps(dict(entry.spec))
    item.active_state = 0


def _layer_versions(folder: Path, newest: manifest.Stack) -> dict[str, dict[int, manifest.Layer]]:
    """Return by name and number every version of every layer in the states that are there."""
    versions: dict[str, dict[int, manifest.Layer]] = {}
    for state in manifest.read_states(folder, newest):
        for layer in state.layers:
            versions.setdefault(layer.name, {})[layer.version] = layer
    return versions


def _remove_others(layers: bpy.types.bpy_prop_collection, names: list[str]) -> None:
    for index in reversed(range(len(layers))):
        if layers[index].name not in names:
            layers.remove(index)


def _shown_pattern(layer: LAYERT2V_Layer) -> str:
    return next(each.pattern for each in layer.versions if str(each.number) == layer.shown)


def _first_frame(scene: bpy.types.Scene, start: int) -> int:
    """Return the first file's number if the scene has that frame, otherwise the scene's start."""
    inside = scene.frame_start <= start <= scene.frame_end
    return start if inside else scene.frame_start


def _stored_path(folder: Path) -> str:
    """Return the path relative to a saved .blend if the preferences want it so, as in Blender."""
    relative = bpy.data.is_saved and bpy.context.preferences.filepaths.use_relative_paths
    try:
        return bpy.path.relpath(str(folder)) if relative else str(folder)
    except ValueError:  # another drive
        return str(folder)
