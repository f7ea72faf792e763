"""Image files: which of a folder are the frames of a sequence, and what is in them.

Values come as they are stored, color and alpha apart; their color space and whether alpha is
premultiplied is for the caller to know. Knows no stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from layert2v import image_sequence
from layert2v_engine.errors import FootageError

_FRAME_NUMBER = re.compile(r"%0?(\d*)d|#+")

# OIIO multiplies color with alpha where a format stores it straight, unless it is told not to;
# to multiply display-encoded values would be wrong.
_AS_STORED = oiio.ImageSpec()
_AS_STORED.attribute("oiio:UnassociatedAlpha", 1)


class ImageFrame(NamedTuple):
    """One frame as it is stored: float32 ``rgb`` ``[3, H, W]``, ``alpha`` ``[H, W]`` or None.

    A grey image has three equal planes. Integer files are 0..1, float files unbounded.
    """

    rgb: Tensor
    alpha: Tensor | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInfo:
    """The header of an image file: the size of its display window in pixels, and its samples."""

    width: int
    height: int
    pixel_aspect: float
    sample_format: str


def find_images(
    source: Path, suffixes: frozenset[str] = image_sequence.IMAGE_SUFFIXES
) -> tuple[Path, ...]:
    """Return the images that ``source`` names, in order: none where it names none.

    ``source`` is a folder, a pattern such as ``shot.####.png`` or ``shot.%04d.png``, or one file.
    Names are ordered with their numbers counted as such; hidden files are left out.
    """
    if source.is_dir():
        candidates = [path for path in source.iterdir() if path.suffix.lower() in suffixes]
    elif _FRAME_NUMBER.search(source.name):
        literals = [re.escape(text) for text in _FRAME_NUMBER.sub("\0", source.name).split("\0")]
        pattern = re.compile(r"\d+".join(literals))
        siblings = source.parent.iterdir() if source.parent.is_dir() else ()
        candidates = [path for path in siblings if pattern.fullmatch(path.name)]
    else:
        is_image = source.suffix.lower() in suffixes and source.is_file()
        candidates = [source] if is_image else []
    visible = (path for path in candidates if not path.name.startswith("."))
    return image_sequence.sort_naturally(visible)


def find_sequence(folder: Path, label: str) -> tuple[Path, ...]:
    """Return the frames of the one sequence in ``folder``, in order; ``label`` names it in errors.

    Raises ``FootageError`` with reason ``PICTURES_MISSING``, or ``PICTURES_MIXED`` for what is no
    single sequence without gaps.
    """
    images = find_images(folder)
    if not images:
        raise FootageError(
            f"The {label} has no frames: there is no picture in {folder}.",
            f"Give files of these kinds: {', '.join(sorted(image_sequence.IMAGE_SUFFIXES))}.",
            reason="PICTURES_MISSING",
        )
    error = image_sequence.sequence_error(images)
    if error:
        raise FootageError(
            f"The {label} is no sequence: {error}",
            "Give a folder with the frames of one sequence, numbered without gaps.",
            reason="PICTURES_MIXED",
        )
    return images


def read_info(path: Path) -> ImageInfo:
    """Return the header of an image file. Raises ``FootageError``."""
    file = _open(path)
    spec = file.spec()
    file.close()
    aspect = spec.get_float_attribute("PixelAspectRatio", 1.0)
    return ImageInfo(
        width=spec.full_width,
        height=spec.full_height,
        pixel_aspect=aspect if aspect > 0 else 1.0,
        sample_format=f"{spec.nchannels} x {spec.format}",
    )


def read_image(path: Path) -> ImageFrame:
    """Return the pixels of the display window; where the file has none they are black and empty.

    Raises ``FootageError`` with reason ``PICTURE_UNREADABLE``.
    """
    file = _open(path)
    spec = file.spec()
    stored = file.read_image("float")
    error = file.geterror()
    file.close()
    if stored is None:
        raise _read_error(path, error or "its pixels cannot be read")
    window = _display_window(np.asarray(stored, np.float32), spec)
    planes = torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1)))
    names = list(spec.channelnames)
    color = [names.index(name) for name in "RGB"] if {*"RGB"} <= {*names} else []
    if not color and len(names) - ("A" in names) == 1:
        color = [next(i for i, name in enumerate(names) if name != "A")] * 3
    if not color:
        raise _read_error(path, f"it holds {', '.join(names)}, not R, G, B")
    return ImageFrame(planes[color], planes[names.index("A")] if "A" in names else None)


def _open(path: Path) -> oiio.ImageInput:
    file = oiio.ImageInput.open(str(path), _AS_STORED)
    if file is None:
        raise _read_error(path, oiio.geterror())
    if file.spec().deep:
        file.close()
        raise _read_error(path, "deep pictures have no place in a layer")
    return file


def _display_window(stored: np.ndarray, spec: oiio.ImageSpec) -> np.ndarray:
    """Return ``[H, W, C]`` of the display window, from the pixels of the data window."""
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    width, height = spec.full_width, spec.full_height
    if (left, top, spec.width, spec.height) == (0, 0, width, height):
        return stored
    window = np.zeros((height, width, stored.shape[2]), stored.dtype)
    x, y = max(left, 0), max(top, 0)
    inside = stored[y - top : height - top, x - left : width - left]
    window[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return window


def _read_error(path: Path, detail: str) -> FootageError:
    cause = (detail.strip() or "no reason given").splitlines()[0].rstrip(".")
    return FootageError(
        f"{path} cannot be used as a picture: {cause}.",
        "Check that the file opens elsewhere, or save it again.",
        reason="PICTURE_UNREADABLE",
    )
