"""Stacks on disk and in a scene: read a folder, fill the scene's list, refresh every view."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from layert2v import stack as manifest

from .stack_view import Shown, ShownLayer
from .views import compositor, images, planes, strips
from .views.images import PictureMissing

if TYPE_CHECKING:
    from .model import LAYERT2V_Layer, LAYERT2V_Stack


def add(scene: bpy.types.Scene, folder: Path) -> LAYERT2V_Stack:
    """Put the stack of a folder into the scene's list, or read it again where it is there.

    Raises ``ManifestError``.
    """
    read = manifest.read(folder)
    state = scene.layert2v
    item = next((one for one in state.stacks if folder_of(one) == folder.resolve()), None)
    if item is None:
        item = state.stacks.add()
        item.uid = uuid.uuid4().hex
        item.name = read.name
        item.folder = _kept_path(folder)
        item.first_frame = _first_frame(scene, read)
    _fill(item, read)
    state.active_stack = [one.uid for one in state.stacks].index(item.uid)
    return item


def find(uid: str) -> LAYERT2V_Stack | None:
    """The stack with this uid in whatever scene has it."""
    everywhere = (stack for scene in bpy.data.scenes for stack in scene.layert2v.stacks)
    return next((stack for stack in everywhere if stack.uid == uid), None)


def folder_of(item: LAYERT2V_Stack) -> Path:
    """The folder of a stack, absolute."""
    return Path(bpy.path.abspath(item.folder)).resolve()


def shown(item: LAYERT2V_Stack) -> Shown:
    """The stack as it is to be shown."""
    return Shown(
        uid=item.uid,
        name=item.name,
        folder=folder_of(item),
        width=item.width,
        height=item.height,
        pixel_aspect=item.pixel_aspect,
        frames=item.frames,
        first_file=item.first_file,
        first_frame=item.first_frame,
        colorspace=item.colorspace,
        layers=tuple(
            ShownLayer(name=layer.name, pattern=_pattern(layer), visible=layer.visible)
            for layer in reversed(item.layers)
        ),
    )


def place(scene: bpy.types.Scene, item: LAYERT2V_Stack, target: str) -> None:
    """Open a stack in the compositor, as planes or as strips. Raises ``PictureMissing``."""
    view = shown(item)
    if target == "COMPOSITOR":
        compositor.place(scene, view)
    elif target == "PLANES":
        planes.place(scene, view)
    else:
        strips.place(scene, view)


def refresh(item: LAYERT2V_Stack) -> None:
    """Bring every view of the stack to what is to be shown; says in ``problem`` why not."""
    view = shown(item)
    try:
        compositor.refresh(view)
        planes.refresh(view)
        for scene in bpy.data.scenes:
            strips.refresh(scene, view)
    except PictureMissing as problem:
        item.problem = str(problem)
    else:
        item.problem = ""
        images.forget(view)


def refresh_by_uid(scene: bpy.types.Scene, uid: str) -> None:
    """Bring the views of one of the scene's stacks up to date."""
    for item in scene.layert2v.stacks:
        if item.uid == uid:
            refresh(item)


def _fill(item: LAYERT2V_Stack, read: manifest.Stack) -> None:
    for name in ("width", "height", "pixel_aspect", "fps", "frames", "colorspace", "model"):
        setattr(item, name, getattr(read, name))
    item.first_file = read.start_frame
    item.understood = read.prompt_interpretation
    item.warning = " ".join(read.warnings)
    known = _versions(folder_of(item), read)
    _keep_only(item.layers, [layer.name for layer in read.layers])
    for position, layer in enumerate(reversed(read.layers)):
        if layer.name not in item.layers:
            item.layers.add().name = layer.name
        item.layers.move(item.layers.find(layer.name), position)
        _fill_layer(item, item.layers[position], layer, known[layer.name])
    item.active_layer = min(item.active_layer, len(item.layers) - 1)
    _fill_history(item, read)


def _fill_layer(
    item: LAYERT2V_Stack,
    slot: LAYERT2V_Layer,
    layer: manifest.Layer,
    versions: dict[int, manifest.Layer],
) -> None:
    slot.stack = ""  # no refresh in between
    slot.role = layer.role.value
    slot.versions.clear()
    for number, version in sorted(versions.items(), reverse=True):
        entry = slot.versions.add()
        entry.number, entry.pattern = number, version.pattern
        entry.prompt, entry.seed = version.prompt, str(version.seed)
    if slot.current != layer.version:  # otherwise the artist's choices stay
        slot.current = layer.version
        slot.shown = str(layer.version)
        slot.prompt, slot.seed = layer.prompt, ""
    slot.stack = item.uid


def _fill_history(item: LAYERT2V_Stack, read: manifest.Stack) -> None:
    item.history.clear()
    for number, entry in reversed(list(enumerate(read.history, 1))):
        row = item.history.add()
        row.number, row.action, row.note = number, entry.action, entry.note
        row.created = entry.created
        row.wish = json.dumps(dict(entry.spec))
    item.active_state = 0


def _versions(folder: Path, newest: manifest.Stack) -> dict[str, dict[int, manifest.Layer]]:
    """Every version of every layer that any state has and whose manifest is there."""
    states = [newest]
    for number in range(1, len(newest.history)):
        if (folder / manifest.state_path(number)).is_file():
            states.append(manifest.read_state(folder, number))
    found: dict[str, dict[int, manifest.Layer]] = {}
    for state in states:
        for layer in state.layers:
            found.setdefault(layer.name, {})[layer.version] = layer
    return found


def _keep_only(layers: bpy.types.bpy_prop_collection, names: list[str]) -> None:
    for index in reversed(range(len(layers))):
        if layers[index].name not in names:
            layers.remove(index)


def _pattern(layer: LAYERT2V_Layer) -> str:
    return next(one.pattern for one in layer.versions if str(one.number) == layer.shown)


def _first_frame(scene: bpy.types.Scene, read: manifest.Stack) -> int:
    """The files' own numbers where the scene has these frames, otherwise where it starts."""
    inside = scene.frame_start <= read.start_frame <= scene.frame_end
    return read.start_frame if inside else scene.frame_start


def _kept_path(folder: Path) -> str:
    """Relative to a saved .blend if the artist likes paths so, as Blender's own imports do."""
    relative = bpy.data.is_saved and bpy.context.preferences.filepaths.use_relative_paths
    try:
        return bpy.path.relpath(str(folder)) if relative else str(folder)
    except ValueError:  # another drive
        return str(folder)
