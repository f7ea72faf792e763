"""Image files: which of a folder are the frames of a sequence, and their pixels.

Values come as they are stored, color and alpha apart, upright and without NaN; what their color
space is and whether alpha is premultiplied is told beside them. Knows no stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from layert2v import image_sequence
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.info import FootageInfo, FrameNotes, ImageFrame, read_error
from layert2v_engine.image.footage.repair import repair_non_finite
from layert2v_engine.image.footage.still_color import expand_limited_range
from layert2v_engine.image.footage.still_header import (
    FLOATS,
    open_image,
    parse_header,
    picture_error,
    read_header,
)

_LARGEST = {"uint8": 255, "uint16": 65535}


def find_images(
    source: Path, suffixes: frozenset[str] = image_sequence.IMAGE_SUFFIXES
) -> tuple[Path, ...]:
    """Return the images that ``source`` names, in order: none where it names none.

    ``source`` is a folder, a pattern such as ``shot.####.png`` or ``shot.%04d.png``, or one file.
    Names are ordered with their numbers counted as such; hidden files are left out. Raises
    ``FootageError`` where that cannot be looked up.
    """
    try:
        return _list_images(source, suffixes)
    except OSError as error:  # a folder that may not be read, a name that is too long
        raise read_error(source, error.strerror or str(error)) from error


def _list_images(source: Path, suffixes: frozenset[str]) -> tuple[Path, ...]:
    source = image_sequence.find_existing(source)
    if source.is_dir():
        candidates = [path for path in source.iterdir() if path.suffix.lower() in suffixes]
    elif image_sequence.is_pattern(source):
        candidates = image_sequence.find_pattern(source)
    else:
        is_image = source.suffix.lower() in suffixes and source.is_file()
        candidates = [source] if is_image else []
    visible = (path for path in candidates if not path.name.startswith("."))
    return image_sequence.sort_naturally(visible)


def find_sequence(source: Path, label: str, *, may_have_gaps: bool = False) -> tuple[Path, ...]:
    """Return the frames of the one sequence that ``source`` names; ``label`` names it in errors.

    Raises ``FootageError`` with reason ``PICTURES_MISSING``, or ``PICTURES_MIXED`` for what is no
    single sequence, or has gaps where it may not.
    """
    images = find_images(source)
    if not images:
        raise FootageError(
            f"The {label} has no frames: there is no picture in {source}.",
            f"Give files of these kinds: {', '.join(sorted(image_sequence.IMAGE_SUFFIXES))}.",
            reason="PICTURES_MISSING",
        )
    error = image_sequence.sequence_error(images, may_have_gaps=may_have_gaps)
    if error:
        raise FootageError(
            f"The {label} is no sequence: {error}",
            "Give the frames of one sequence, numbered without gaps; name one of several with a "
            "pattern such as shot.####.png.",
            reason="PICTURES_MIXED",
        )
    return images


class StillSequence:
    """The frames of one image sequence. Raises ``FootageError``; all headers are read at once.

    ``numbers`` are those of its frames, ascending, empty where the names have none.
    """

    def __init__(self, source: Path, label: str = "clip", *, may_have_gaps: bool = False) -> None:
        self.path = source
        self.files = find_sequence(source, label, may_have_gaps=may_have_gaps)
        self.numbers: Sequence[int] = image_sequence.frame_numbers(self.files)
        self._happened = FrameNotes()
        headers = [read_header(path) for path in self.files]
        first = next((each for each in headers if each.info.has_alpha), headers[0]).info
        for path, header in zip(self.files, headers, strict=True):
            _check_same(path, header.info, self.files[0], headers[0].info)
        timecode = headers[0].info.timecode
        self.info = replace(
            first,
            frames=len(headers),
            timecode=timecode,
            first_frame=self.numbers[0] if self.numbers else None,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed, followed or repaired so far."""
        return (*self.info.notes, *self._happened.sentences())

    def __iter__(self) -> Iterator[ImageFrame]:
        return map(self.read, range(len(self.files)))

    def read(self, index: int) -> ImageFrame:
        """Return frame ``index`` (from 0). Raises ``FootageError``."""
        path = self.files[index]
        frame, repaired = _read_pixels(path)
        if repaired:
            sentence = "Pixels that are no numbers (NaN, infinite) are repaired from beside them"
            self._happened.add(sentence, path.name)
        if frame.alpha is None and self.info.has_alpha:
            self._happened.add("Frames stored without alpha are taken as opaque", path.name)
            return ImageFrame(frame.rgb, torch.ones_like(frame.rgb[0]))
        return frame


def read_info(path: Path) -> FootageInfo:
    """Return what an image file says. Raises ``FootageError``."""
    return read_header(path).info


def read_image(path: Path) -> ImageFrame:
    """Return the pixels of the display window; where the file has none they are black and empty.

    Raises ``FootageError`` with reason ``PICTURE_UNREADABLE``.
    """
    return _read_pixels(path)[0]


def _read_pixels(path: Path) -> tuple[ImageFrame, int]:
    """Return the frame of an image file, and how many of its pixels were no numbers."""
    with open_image(path) as file:
        header = parse_header(path, file)
        picture, spec = header.picture, header.spec
        used = [*picture.color, *([] if picture.alpha is None else [picture.alpha])]
        low, high = min(used), max(used) + 1
        # Integers as they are: OIIO's way to float takes four times as long as _to_planes.
        wanted = str(spec.format) if str(spec.format) in _LARGEST else "float"
        stored = file.read_image(picture.part, 0, low, high, wanted)
        error = file.geterror()
    if stored is None or "remature" in error:  # a JPEG that ends early is grey from there on
        raise picture_error(path, error or "its pixels cannot be read")
    planes = _to_planes(_display_window(np.asarray(stored), spec))
    repaired = 0
    if str(spec.format) in FLOATS:
        planes, repaired = repair_non_finite(planes)
    alpha = None if picture.alpha is None else planes[picture.alpha - low]
    rgb = _take_color(planes, [index - low for index in picture.color])
    if not header.info.full_range:
        rgb = expand_limited_range(rgb, 16 if str(spec.format) == "uint16" else 8)
    return header.info.turn.turn_frame(ImageFrame(rgb, alpha)), repaired


def _to_planes(pixels: np.ndarray) -> Tensor:
    """Return ``[H, W, C]`` as float32 ``[C, H, W]``, integers as 0..1."""
    stored = torch.from_numpy(pixels)
    planes = torch.empty(stored.shape[-1], *stored.shape[:2])
    scale = 1.0 / _LARGEST.get(str(pixels.dtype), 1)
    for plane, values in zip(planes, stored.unbind(-1), strict=True):
        plane.copy_(values).mul_(scale)
    return planes


def _take_color(planes: Tensor, color: list[int]) -> Tensor:
    """Return ``[3, H, W]`` of the planes with these numbers: one is grey, none is white."""
    if not color:
        return torch.ones_like(planes[:1]).expand(3, -1, -1)
    if len(color) == 1:
        return planes[color[0]].expand(3, -1, -1)
    start = color[0]
    in_order = color == [start, start + 1, start + 2]
    return planes[start : start + 3] if in_order else planes[color]


def _check_same(path: Path, info: FootageInfo, first_path: Path, first: FootageInfo) -> None:
    """Raise ``FootageError`` where a frame does not go with the first of its sequence."""
    if (info.width, info.height) != (first.width, first.height):
        raise FootageError(
            f"{path} has another size than the first frame: {info.width} x {info.height} pixels, "
            f"and {first_path.name} is {first.width} x {first.height}.",
            "All frames of a sequence have one size; scale them first.",
            reason="SIZES_DIFFER",
        )
    aspects = [each.pixel_aspect or 1.0 for each in (info, first)]
    if abs(aspects[0] / aspects[1] - 1.0) > 0.01:
        raise FootageError(
            f"{path} has pixels of shape {aspects[0]:g}, and {first_path.name} {aspects[1]:g}.",
            "All frames of a sequence have pixels of one shape; save them alike.",
            reason="ASPECTS_DIFFER",
        )
    if info.color != first.color or info.is_linear != first.is_linear:
        labels = [each.color.label if each.color else "nothing" for each in (info, first)]
        raise FootageError(
            f"{path} says {labels[0]} of its color space, and {first_path.name} says {labels[1]}.",
            "All frames of a sequence have one color space; save them alike.",
            reason="COLORSPACES_DIFFER",
        )


def _display_window(stored: np.ndarray, spec: oiio.ImageSpec) -> np.ndarray:
    """Return ``[H, W, C]`` of the display window, from the pixels of the data window."""
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    width, height = spec.full_width, spec.full_height
    if (left, top, spec.width, spec.height) == (0, 0, width, height):
        return stored
    window = np.zeros((height, width, stored.shape[2]), stored.dtype)
    (x, right), (y, bottom) = (
        (max(start, 0), min(start + size, whole))
        for start, size, whole in ((left, spec.width, width), (top, spec.height, height))
    )
    if x < right and y < bottom:
        window[y:bottom, x:right] = stored[y - top : bottom - top, x - left : right - left]
    return window
