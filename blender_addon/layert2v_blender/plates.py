"""Renders of the scene as plates: as large and as long as a stack, scene-linear EXR in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import bpy

from . import preferences
from .shown import Shown

COLORSPACE = "lin_rec709_scene"
_NAME = "plate."


def folder(request_id: str) -> Path:
    """Where the plate of a request is kept until the request has ended."""
    return preferences.own_folder(create=True) / "plates" / request_id


def forget(request_id: str) -> None:
    """Remove the plate of a request, where it has one."""
    shutil.rmtree(folder(request_id), ignore_errors=True)


def files(request_id: str, frames: int) -> list[str]:
    """The rendered files; empty where the render did not come to its end."""
    found = sorted(str(path) for path in folder(request_id).glob(f"{_NAME}*.exr"))
    return found if len(found) == frames else []


class RenderSettings:
    """The scene's render settings as a plate needs them, and back as they were."""

    def __init__(self, scene: bpy.types.Scene) -> None:
        self._scene = scene
        self._before: list[tuple[Any, str, Any]] = []

    def apply(self, request_id: str, shown: Shown, *, composited: bool, transparent: bool) -> None:
        """Set the scene to render the stack's frames at its size into the request's folder."""
        scene, render = self._scene, self._scene.render
        self._set(render, "filepath", str(folder(request_id) / f"{_NAME}####"))
        self._set(render, "use_file_extension", True)
        self._set(render, "use_overwrite", True)
        self._set(render, "resolution_x", shown.width)
        self._set(render, "resolution_y", shown.height)
        self._set(render, "resolution_percentage", 100)
        self._set(render, "use_border", False)
        self._set(render, "use_compositing", composited)
        self._set(render, "use_sequencer", False)
        if transparent:
            self._set(render, "film_transparent", True)
        self._set(scene, "frame_end", shown.first_frame + shown.frames - 1)
        self._set(scene, "frame_start", shown.first_frame)
        self._set(scene, "frame_end", shown.first_frame + shown.frames - 1)
        self._set(scene, "frame_step", 1)
        self._set_format(render.image_settings)

    def restore(self) -> None:
        """Give everything its former value; a format before what depends on it."""
        for owner, name, value in self._before:
            setattr(owner, name, value)

    def _set_format(self, image: bpy.types.ImageFormatSettings) -> None:
        if hasattr(image, "media_type"):  # it decides which formats there are
            self._set(image, "media_type", "IMAGE")
        self._set(image, "file_format", "OPEN_EXR")
        self._set(image, "color_mode", "RGBA")
        self._set(image, "color_depth", "16")
        self._set(image, "color_management", "OVERRIDE")
        self._set(image.linear_colorspace_settings, "name", "Linear Rec.709")

    def _set(self, owner: Any, name: str, value: Any) -> None:
        if not any(known is owner and key == name for known, key, _ in self._before):
            self._before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)
