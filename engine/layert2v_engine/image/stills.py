"""Folders of picture files an artist brings: which files are frames, and what is in them.

Values come as they are stored, colour and alpha apart: what they mean is said by whoever brings
them. Knows no stack.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from layert2v import image_sequence
from layert2v_engine.errors import FootageError

# OIIO multiplies colour with alpha where a format stores it straight, unless it is told not to.
_AS_STORED = oiio.ImageSpec()
_AS_STORED.attribute("oiio:UnassociatedAlpha", 1)


class Picture(NamedTuple):
    """One picture as it is stored: float32 `rgb` `[3, H, W]` and, if it has one, `alpha` `[H, W]`.

    A grey picture has three equal planes.
    """

    rgb: Tensor
    alpha: Tensor | None


def find_pictures(folder: Path, what: str) -> tuple[Path, ...]:
    """The picture files in `folder` in the order of their names, numbers in them counted as such.

    `what` names them in the error. Raises `FootageError` with reason `PICTURES_MISSING`, or
    `PICTURES_MIXED` for what is no single sequence without gaps.
    """
    there = folder.iterdir() if folder.is_dir() else ()
    found = image_sequence.sort_naturally(path for path in there if image_sequence.is_image(path))
    if not found:
        raise FootageError(
            f"The {what} has no frames: there is no picture in {folder}.",
            f"Give files of these kinds: {', '.join(sorted(image_sequence.IMAGE_SUFFIXES))}.",
            reason="PICTURES_MISSING",
        )
    wrong = image_sequence.sequence_error(found)
    if wrong:
        raise FootageError(
            f"The {what} is no sequence: {wrong}",
            "Give a folder with the frames of one sequence, numbered without gaps.",
            reason="PICTURES_MIXED",
        )
    return found


def picture_size(path: Path) -> tuple[int, int, float]:
    """Width, height and pixel aspect of the picture a file shows. Raises `FootageError`."""
    file = _open(path)
    spec = file.spec()
    file.close()
    aspect = spec.get_float_attribute("PixelAspectRatio", 1.0)
    return spec.full_width, spec.full_height, aspect if aspect > 0 else 1.0


def read_picture(path: Path) -> Picture:
    """The picture a file shows: of EXR its display window, what is missing of it black and empty.

    Raises `FootageError` with reason `PICTURE_UNREADABLE`.
    """
    file = _open(path)
    spec = file.spec()
    planes = file.read_image("float")
    complaint = file.geterror()
    file.close()
    if planes is None:
        raise _unreadable(path, complaint or "its pixels cannot be read")
    shown = _display_window(np.asarray(planes, np.float32), spec)
    pixels = torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1)))
    names = list(spec.channelnames)
    color = [names.index(name) for name in "RGB"] if {*"RGB"} <= {*names} else []
    if not color and len(names) - ("A" in names) == 1:
        color = [next(i for i, name in enumerate(names) if name != "A")] * 3
    if not color:
        raise _unreadable(path, f"it holds {', '.join(names)}, not R, G, B")
    return Picture(pixels[color], pixels[names.index("A")] if "A" in names else None)


def _open(path: Path) -> oiio.ImageInput:
    file = oiio.ImageInput.open(str(path), _AS_STORED)
    if file is None:
        raise _unreadable(path, oiio.geterror())
    if file.spec().deep:
        file.close()
        raise _unreadable(path, "deep pictures have no place in a layer")
    return file


def _display_window(planes: np.ndarray, spec: oiio.ImageSpec) -> np.ndarray:
    """Pixels `[H, W, C]` of the display window, from those of the data window."""
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    width, height = spec.full_width, spec.full_height
    if (left, top, spec.width, spec.height) == (0, 0, width, height):
        return planes
    shown = np.zeros((height, width, planes.shape[2]), planes.dtype)
    x, y = max(left, 0), max(top, 0)
    inside = planes[y - top : height - top, x - left : width - left]
    shown[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return shown


def _unreadable(path: Path, complaint: str) -> FootageError:
    detail = (complaint.strip() or "no reason given").splitlines()[0].rstrip(".")
    return FootageError(
        f"{path} cannot be used as a picture: {detail}.",
        "Check that the file opens elsewhere, or save it again.",
        reason="PICTURE_UNREADABLE",
    )
