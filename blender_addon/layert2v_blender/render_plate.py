"""Renders of the scene as plates: as large and as long as a stack, scene-linear EXR in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from . import preferences
from .stack_view import Shown

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

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def apply(
        self,
        scene: bpy.types.Scene,
        shown: Shown,
        request_id: str,
        *,
        composited: bool,
        transparent: bool,
    ) -> None:
        """Set the scene to render the stack's frames at its size into the request's folder."""
        render = scene.render
        last = shown.first_frame + shown.frames - 1
        wanted = [
            (render, "filepath", str(folder(request_id) / f"{_NAME}####")),
            (render, "use_file_extension", True),
            (render, "use_overwrite", True),
            (render, "resolution_x", shown.width),
            (render, "resolution_y", shown.height),
            (render, "resolution_percentage", 100),
            (render, "use_border", False),
            (render, "use_compositing", composited),
            (render, "use_sequencer", False),
            (render, "film_transparent", transparent or render.film_transparent),
            (scene, "frame_end", last),
            (scene, "frame_start", shown.first_frame),
            (scene, "frame_end", last),  # again: it cannot be before the start
            (scene, "frame_step", 1),
            *_format(render.image_settings),
        ]
        self._before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
        _set(wanted)

    def restore(self) -> None:
        """Give everything its former value; a space that was never chosen reads as empty."""
        _set([(owner, name, value) for owner, name, value in self._before if value != ""])


def _format(image: bpy.types.ImageFormatSettings) -> Iterator[tuple[Any, str, Any]]:
    """Half-float EXR in a space that is named; each line decides what the next may be."""
    if hasattr(image, "media_type"):
        yield image, "media_type", "IMAGE"
    yield image, "file_format", "OPEN_EXR"
    yield image, "color_mode", "RGBA"
    yield image, "color_depth", "16"
    yield image, "color_management", "OVERRIDE"
    yield image.linear_colorspace_settings, "name", "Linear Rec.709"


def _set(values: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in values:
        setattr(owner, name, value)
