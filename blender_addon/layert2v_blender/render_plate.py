"""Renders of the scene as plates: at a stack's size and length, scene-linear EXR in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy

from . import colorspaces
from .settings import user_folder
from .stack_view import StackView

_FILE_PREFIX = "plate."


def plate_folder(request_id: str) -> Path:
    """Return where the plate of a request is kept until the request has ended."""
    return user_folder(create=True) / "plates" / request_id


def plates_of(inputs: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the ids of the requests whose plates are among these files."""
    root = user_folder() / "plates"
    paths = (Path(path) for given in inputs.values() for path in given)
    return {path.relative_to(root).parts[0] for path in paths if root in path.parents}


def delete_plate(request_id: str) -> None:
    """Delete the plate of a request, if it has one."""
    shutil.rmtree(plate_folder(request_id), ignore_errors=True)


def plate_colorspace() -> tuple[str, str]:
    """Return interop id and name of the space that plates are rendered in.

    Raises ``ColorspaceNotFound``.
    """
    return colorspaces.find_linear(colorspaces.current_offer())


def plate_files(request_id: str, frames: int) -> list[str]:
    """Return the rendered files; none if the render did not come to its end."""
    found = sorted(str(path) for path in plate_folder(request_id).glob(f"{_FILE_PREFIX}*.exr"))
    return found if len(found) == frames else []


def render_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """Return the size of the scene's render in pixels."""
    scale = scene.render.resolution_percentage / 100
    return int(scene.render.resolution_x * scale), int(scene.render.resolution_y * scale)


class RenderSettings:
    """The render settings of a scene, changed for a plate and then restored."""

    def __init__(self) -> None:
        self._previous: list[tuple[Any, str, Any]] = []

    def apply_to_scene(self, scene: bpy.types.Scene, request_id: str, *, composited: bool) -> None:
        """Set the scene to render its own frames at its own size into the request's folder."""
        width, height = render_size(scene)
        view = StackView(
            uid="",
            name=scene.name,
            folder=plate_folder(request_id),
            width=width,
            height=height,
            pixel_aspect=1.0,
            frames=scene.frame_end - scene.frame_start + 1,
            first_file=scene.frame_start,
            first_frame=scene.frame_start,
            colorspace="",
            layers=(),
        )
        self.apply(scene, view, request_id, composited=composited, transparent=False)

    def apply(
        self,
        scene: bpy.types.Scene,
        view: StackView,
        request_id: str,
        *,
        composited: bool,
        transparent: bool,
    ) -> None:
        """Set the scene to render the stack's frames at its size into the request's folder."""
        render = scene.render
        last = view.first_frame + view.frames - 1
        values = [
            (render, "filepath", str(plate_folder(request_id) / f"{_FILE_PREFIX}####")),
            (render, "use_file_extension", True),
            (render, "use_overwrite", True),
            (render, "resolution_x", view.width),
            (render, "resolution_y", view.height),
            (render, "resolution_percentage", 100),
            (render, "use_border", False),
            (render, "use_compositing", composited),
            (render, "use_sequencer", False),
            (render, "film_transparent", transparent or render.film_transparent),
            (scene, "frame_end", last),
            (scene, "frame_start", view.first_frame),
            (scene, "frame_end", last),  # again: it cannot be before the start
            (scene, "frame_step", 1),
            *_format(render.image_settings),
        ]
        self._previous = [(owner, name, getattr(owner, name)) for owner, name, _ in values]
        _set(values)

    def restore(self) -> None:
        """Restore all values; a color space that was never chosen reads as empty."""
        _set([(owner, name, value) for owner, name, value in self._previous if value != ""])


def _format(image: bpy.types.ImageFormatSettings) -> Iterator[tuple[Any, str, Any]]:
    """Yield the settings of half-float EXR in a named space; each decides what the next may be."""
    if hasattr(image, "media_type"):
        yield image, "media_type", "IMAGE"
    yield image, "file_format", "OPEN_EXR"
    yield image, "color_mode", "RGBA"
    yield image, "color_depth", "16"
    yield image, "color_management", "OVERRIDE"
    yield image.linear_colorspace_settings, "name", plate_colorspace()[1]


def _set(values: list[tuple[Any, str, Any]]) -> None:
    for owner, name, value in values:
        setattr(owner, name, value)
