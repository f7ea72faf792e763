"""Where footage comes from: image data-blocks, movie clips, strips. Files, not pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from ..model import LAYERT2V_Scene

_NUMBER_AT_END = re.compile(r"[_-]+[0-9]+$")
_LAST_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*$)")
_MOVIE_START = 1001  # the number that a movie's first frame gets


class FootageMissing(Exception):
    """There is no footage that can be used; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageFiles:
    """Files, a pattern or a movie as the client takes them; ``size`` is pixels, 0 where unknown.

    ``first`` and ``last`` are the footage's own numbers, None for all of it.
    """

    name: str
    paths: list[str]
    size: tuple[int, int] = (0, 0)
    first: int | None = None
    last: int | None = None


def find_footage(panel: LAYERT2V_Scene, strip: Any) -> FootageFiles:
    """Return the footage that the panel names; ``strip`` is the active one of the sequencer.

    Raises ``FootageMissing``.
    """
    kind = panel.footage_kind
    if kind == "IMAGE":
        return _of_image(panel.footage_image)
    if kind == "CLIP":
        return _of_clip(panel.footage_clip)
    if kind == "STRIP":
        return _of_strip(strip)
    raise FootageMissing("A render has no files before it is made.")


def measure_size(found: FootageFiles) -> tuple[int, int]:
    """Return the size in pixels; of a sequence that was never shown, that of its first file.

    Raises ``FootageMissing``.
    """
    if 0 not in found.size:
        return found.size
    path = Path(found.paths[0])
    files = sorted(path.parent.glob(path.name.replace("#", "[0-9]")))
    image = bpy.data.images.load(str(files[0])) if files else None
    size = (0, 0) if image is None else tuple(image.size)
    if image is not None:
        bpy.data.images.remove(image)
    if 0 in size:
        raise FootageMissing("The size of this footage is not known, so no mask fits it")
    return size[0], size[1]


def footage_title(name: str) -> str:
    """Return the name of footage without the ending of its files and their numbers."""
    stem = name.partition(".")[0] or name
    return _NUMBER_AT_END.sub("", stem) or stem


def _of_image(image: Any) -> FootageFiles:
    if image is None:
        raise FootageMissing("Choose the image sequence or movie")
    if image.source not in {"SEQUENCE", "MOVIE", "FILE"} or not image.filepath:
        raise FootageMissing(f"{image.name} is no footage in files: save it first")
    return FootageFiles(
        name=image.name, paths=[_pattern(image.filepath, image.source)], size=tuple(image.size)
    )


def _of_clip(clip: Any) -> FootageFiles:
    if clip is None:
        raise FootageMissing("Choose the movie clip")
    return FootageFiles(
        name=clip.name, paths=[_pattern(clip.filepath, clip.source)], size=tuple(clip.size)
    )


def _of_strip(strip: Any) -> FootageFiles:
    if strip is None or strip.type not in {"IMAGE", "MOVIE"}:
        raise FootageMissing("Select an image or a movie strip in the sequencer")
    start, length = int(strip.frame_offset_start), int(strip.frame_final_duration)
    if strip.type == "MOVIE":
        first = _MOVIE_START + start
        path = bpy.path.abspath(strip.filepath)
        return FootageFiles(name=strip.name, paths=[path], first=first, last=first + length - 1)
    folder = Path(bpy.path.abspath(strip.directory))
    files = [folder / element.filename for element in strip.elements][start : start + length]
    if len(files) < 2:
        raise FootageMissing(f"{strip.name} is a single picture, and nothing moves in it")
    size = (strip.elements[0].orig_width, strip.elements[0].orig_height)
    return FootageFiles(name=strip.name, paths=[str(path) for path in files], size=size)


def _pattern(filepath: str, source: str) -> str:
    """Return the file, or for a sequence the pattern of all its files."""
    path = Path(bpy.path.abspath(filepath))
    if source != "SEQUENCE":
        return str(path)
    name = _LAST_NUMBER.sub(lambda number: "#" * len(number[0]), path.name)
    return str(path.with_name(name))
