"""What an image file says of itself: size, channels, alpha, color, time.

OpenImageIO reads the header, and what it leaves out of PNG is read here. Knows one file at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import OpenImageIO as oiio

from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.channels import Picture, find_picture
from layert2v_engine.image.footage.info import UPRIGHT, AlphaKind, FootageInfo, Turn
from layert2v_engine.image.footage.png_header import PngHeader, read_png_header
from layert2v_engine.image.footage.still_color import read_color

# OIIO multiplies color with alpha where a format stores it straight, unless it is told not to;
# to multiply display-encoded values would be wrong.
_AS_STORED = oiio.ImageSpec()
_AS_STORED.attribute("oiio:UnassociatedAlpha", 1)

# EXIF's number for how pixels lie in the file.
_ORIENTATIONS = {
    2: Turn(flip_x=True),
    3: Turn(flip_x=True, flip_y=True),
    4: Turn(flip_y=True),
    5: Turn(transpose=True),
    6: Turn(transpose=True, flip_x=True),
    7: Turn(transpose=True, flip_x=True, flip_y=True),
    8: Turn(transpose=True, flip_y=True),
}
# What formats say of alpha, where a file itself does not say "unassociated".
_ALPHA_KINDS: dict[str, AlphaKind] = {
    "png": "straight",
    "tiff": "premultiplied",
    "openexr": "premultiplied",
}
FLOATS = ("half", "float", "double")
_MAX_VALUES = 2**32  # of one file: 16 GiB as float32


class Header(NamedTuple):
    """What a file says, where its picture is, and the description of the part that holds it."""

    info: FootageInfo
    picture: Picture
    spec: oiio.ImageSpec


def read_header(path: Path) -> Header:
    """Return the header of a file. Raises ``FootageError``."""
    with open_image(path) as file:
        return parse_header(path, file)


def parse_header(path: Path, file: oiio.ImageInput) -> Header:
    """Return the header of an open file. Raises ``FootageError`` for what is no picture."""
    format = file.format_name()
    specs: list[oiio.ImageSpec] = []
    while file.seek_subimage(len(specs), 0):
        specs.append(file.spec())
        if format != "openexr" and len(specs) == 2:
            break  # a second page or a thumbnail
    file.geterror()
    png = read_png_header(path) if format == "png" else PngHeader()
    notes = []
    if format != "openexr":
        if format == "tiff" and len({(each.width, each.height) for each in specs}) < len(specs):
            notes.append(f"{path.name} has several pages; the first is read.")
        if png.frames > 1:
            notes.append(f"{path.name} is an animation of {png.frames} frames; its still is read.")
        specs = specs[:1]
    picture = _find_picture(path, format, specs)
    spec = specs[picture.part]
    _check_samples(path, format, spec, picture)
    turn = _ORIENTATIONS.get(spec.get_int_attribute("Orientation", 1), UPRIGHT)
    width, height = spec.full_width, spec.full_height
    aspect = spec.get_float_attribute("PixelAspectRatio", 0.0)
    aspect = aspect if 0.0 < aspect < math.inf else 0.0
    stated = read_color(path, format, specs[0], png)
    info = FootageInfo(
        width=height if turn.transpose else width,
        height=width if turn.transpose else height,
        frames=1,
        pixel_aspect=(1 / aspect if turn.transpose else aspect) if aspect else None,
        sample_format=f"{spec.nchannels} x {spec.format}",
        color=stated.tag,
        full_range=stated.full_range,
        is_linear=format == "openexr" or str(spec.format) in FLOATS,
        has_alpha=picture.alpha is not None,
        alpha=_alpha_kind(format, spec),
        is_lossless=format != "jpeg",
        is_alpha_lossless=True,
        turn=turn,
        timecode=_timecode(specs[0]),
        notes=(*notes, *_picture_notes(path, format, picture, spec), *stated.notes),
    )
    return Header(info, picture, spec)


def _find_picture(path: Path, format: str, specs: list[oiio.ImageSpec]) -> Picture:
    names = [
        (each.get_string_attribute("oiio:subimagename"), _channel_names(format, each))
        for each in specs
    ]
    picture = find_picture(names, [view for each in specs for view in _views(each)])
    if isinstance(picture, str):
        raise picture_error(
            path, f"it holds {picture}, not R, G, B", "Save its picture as R, G, B or RGBA."
        )
    return picture


def _channel_names(format: str, spec: oiio.ImageSpec) -> list[str]:
    """Return the names of channels; the last one of a TIFF that has none is its alpha."""
    names = list(spec.channelnames)
    return [*names[:-1], "A"] if _has_unnamed_alpha(format, spec) else names


def _has_unnamed_alpha(format: str, spec: oiio.ImageSpec) -> bool:
    """Tell whether a TIFF has one channel beside its color of which it does not say what it is."""
    last = len(spec.channelnames) - 1
    return format == "tiff" and last in (1, 3) and spec.channelnames[last] == f"channel{last}"


def _views(spec: oiio.ImageSpec) -> tuple[str, ...]:
    """Return the names of the views, such as left and right, that a header states."""
    several = spec.getattribute("multiView")
    names = several if isinstance(several, tuple) else (several,) if several else ()
    return tuple(str(name) for name in (*names, spec.get_string_attribute("view")) if name)


def _check_samples(path: Path, format: str, spec: oiio.ImageSpec, picture: Picture) -> None:
    """Raise ``FootageError`` where there are no pixels that can be a layer's."""
    if spec.deep:
        raise picture_error(path, "deep pictures have no place in a layer")
    if spec.width * spec.height * spec.nchannels > _MAX_VALUES or spec.full_width < 1:
        raise picture_error(path, f"its size is {spec.width} x {spec.height} pixels")
    if format != "openexr":
        return
    kinds = list(spec.channelformats) or [spec.format] * spec.nchannels
    used = [*picture.color, *([] if picture.alpha is None else [picture.alpha])]
    ids = [spec.channelnames[each] for each in used if str(kinds[each]) == "uint"]
    if ids:
        raise picture_error(
            path,
            f"it has whole numbers, which are ids and no color, in {', '.join(ids)}",
            "Save its picture as half or float.",
        )
    if picture.alpha is None and {"AR", "AG", "AB"} <= {*spec.channelnames}:
        raise picture_error(
            path,
            "it has an alpha for each color (AR, AG, AB), and a layer has one",
            "Save it with one alpha, A.",
        )


def _picture_notes(
    path: Path, format: str, picture: Picture, spec: oiio.ImageSpec
) -> Iterator[str]:
    if picture.views:
        others = ", ".join(picture.views)
        yield f"{path.name}: the picture is its view {picture.view or 'main'}, beside {others}."
    elif picture.others and picture.layer:
        yield f"{path.name}: the picture is {picture.layer}, beside {', '.join(picture.others)}."
    if _has_unnamed_alpha(format, spec):
        yield f"{path.name} does not say what its last channel is; it is taken as alpha."


def _alpha_kind(format: str, spec: oiio.ImageSpec) -> AlphaKind | None:
    """Return what the format or the file says; OIIO hands over what TIFF states."""
    if spec.get_int_attribute("oiio:UnassociatedAlpha", 0):
        return "straight"
    return None if _has_unnamed_alpha(format, spec) else _ALPHA_KINDS.get(format)


def _timecode(spec: oiio.ImageSpec) -> str:
    """Return the SMPTE timecode of a header, "" where there is none."""
    if spec.getattribute("smpte:TimeCode") is None:
        return ""
    text = str(spec.get_string_attribute("smpte:TimeCode"))
    return text if re.fullmatch(r"\d\d:\d\d:\d\d[:;]\d\d", text) else ""


@contextmanager
def open_image(path: Path) -> Iterator[oiio.ImageInput]:
    """Open an image file. Raises ``FootageError``, also for whatever OIIO makes of its bytes."""
    try:
        file = oiio.ImageInput.open(str(path), _AS_STORED)
        if file is None:
            raise picture_error(path, oiio.geterror())
        try:
            yield file
        finally:
            file.close()
    except UnicodeDecodeError as error:  # names or messages of OIIO that hold the file's bytes
        raise picture_error(path, "its header is damaged") from error
    except MemoryError as error:
        raise picture_error(path, "it does not fit into memory") from error
    except (RuntimeError, ValueError, OSError, OverflowError) as error:
        raise picture_error(path, str(error)) from error


def picture_error(path: Path, detail: str, hint: str = "") -> FootageError:
    """Return the error for a file that is no picture, with the first line of ``detail``."""
    cause = (detail.strip() or "no reason given").splitlines()[0].rstrip(".")
    return FootageError(
        f"{path} cannot be used as a picture: {cause}.",
        hint or "Check that the file opens elsewhere, or save it again.",
        reason="PICTURE_UNREADABLE",
    )
