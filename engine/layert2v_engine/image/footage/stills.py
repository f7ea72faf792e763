"""Image files: which of a folder are the frames of a sequence, and what is in them.

Values come as they are stored, color and alpha apart, upright and without NaN; what their color
space is and whether alpha is premultiplied is told beside them. Knows no stack.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from layert2v import image_sequence
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.channels import Picture, find_picture
from layert2v_engine.image.footage.color_tags import (
    tag_from_chromaticities,
    tag_from_numbers,
    tag_from_profile,
)
from layert2v_engine.image.footage.info import (
    UPRIGHT,
    AlphaKind,
    ColorTag,
    FootageInfo,
    FrameNotes,
    ImageFrame,
    Turn,
)
from layert2v_engine.image.footage.repair import repair_non_finite

_FRAME_NUMBER = re.compile(r"%0?(\d*)d|#+")

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
_FLOATS = ("half", "float", "double")
_LARGEST = {"uint8": 255, "uint16": 65535}
_MAX_VALUES = 2**32  # of one file: 16 GiB as float32


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
        pattern = re.compile(r"-?\d+".join(literals))
        siblings = source.parent.iterdir() if source.parent.is_dir() else ()
        candidates = [path for path in siblings if pattern.fullmatch(path.name)]
    else:
        is_image = source.suffix.lower() in suffixes and source.is_file()
        candidates = [source] if is_image else []
    visible = (path for path in candidates if not path.name.startswith("."))
    return image_sequence.sort_naturally(visible)


def find_sequence(source: Path, label: str) -> tuple[Path, ...]:
    """Return the frames of the one sequence that ``source`` names; ``label`` names it in errors.

    Raises ``FootageError`` with reason ``PICTURES_MISSING``, or ``PICTURES_MIXED`` for what is no
    single sequence without gaps.
    """
    images = find_images(source)
    if not images:
        raise FootageError(
            f"The {label} has no frames: there is no picture in {source}.",
            f"Give files of these kinds: {', '.join(sorted(image_sequence.IMAGE_SUFFIXES))}.",
            reason="PICTURES_MISSING",
        )
    error = image_sequence.sequence_error(images)
    if error:
        raise FootageError(
            f"The {label} is no sequence: {error}",
            "Give the frames of one sequence, numbered without gaps; name one of several with a "
            "pattern such as shot.####.png.",
            reason="PICTURES_MIXED",
        )
    return images


class StillSequence:
    """The frames of one image sequence. Raises ``FootageError``; all headers are read at once."""

    def __init__(self, source: Path, label: str = "clip") -> None:
        self.path = source
        self.files = find_sequence(source, label)
        self._happened = FrameNotes()
        headers = [_read_header(path) for path in self.files]
        first = next((each for each in headers if each.info.has_alpha), headers[0]).info
        for path, header in zip(self.files, headers, strict=True):
            _check_same(path, header.info, self.files[0], headers[0].info)
        timecode = headers[0].info.timecode
        self.info = replace(
            first,
            frames=len(headers),
            timecode=timecode,
            first_frame=image_sequence.frame_number(self.files),
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
    return _read_header(path).info


def read_image(path: Path) -> ImageFrame:
    """Return the pixels of the display window; where the file has none they are black and empty.

    Raises ``FootageError`` with reason ``PICTURE_UNREADABLE``.
    """
    return _read_pixels(path)[0]


class _Header(NamedTuple):
    info: FootageInfo
    picture: Picture
    spec: oiio.ImageSpec


def _read_header(path: Path) -> _Header:
    with _open(path) as file:
        return _parse_header(path, file)


def _parse_header(path: Path, file: oiio.ImageInput) -> _Header:
    specs: list[oiio.ImageSpec] = []
    while file.seek_subimage(len(specs), 0):
        specs.append(file.spec())
        if path.suffix.lower() != ".exr":
            break  # pages and thumbnails are no parts
    file.geterror()
    names = [(spec.get_string_attribute("oiio:subimagename"), spec.channelnames) for spec in specs]
    picture = find_picture(names)
    if isinstance(picture, str):
        raise _read_error(
            path, f"it holds {picture}, not R, G, B", "Save its picture as R, G, B or RGBA."
        )
    spec = specs[picture.part]
    if spec.deep:
        raise _read_error(path, "deep pictures have no place in a layer")
    if spec.width * spec.height * spec.nchannels > _MAX_VALUES or spec.full_width < 1:
        raise _read_error(path, f"its size is {spec.width} x {spec.height} pixels")
    turn = _ORIENTATIONS.get(spec.get_int_attribute("Orientation", 1), UPRIGHT)
    width, height = spec.full_width, spec.full_height
    aspect = spec.get_float_attribute("PixelAspectRatio", 0.0)
    aspect = aspect if 0.0 < aspect < math.inf else 0.0
    color, color_notes = _read_color(path, specs[0])
    info = FootageInfo(
        width=height if turn.transpose else width,
        height=width if turn.transpose else height,
        frames=1,
        pixel_aspect=(1 / aspect if turn.transpose else aspect) if aspect else None,
        sample_format=f"{spec.nchannels} x {spec.format}",
        color=color,
        is_linear=file.format_name() == "openexr" or str(spec.format) in _FLOATS,
        has_alpha=picture.alpha is not None,
        alpha=_alpha_kind(file, spec),
        is_lossless=file.format_name() != "jpeg",
        is_alpha_lossless=True,
        turn=turn,
        timecode=_timecode(specs[0]),
        notes=(*_picture_notes(path, picture), *color_notes),
    )
    return _Header(info, picture, spec)


def _read_pixels(path: Path) -> tuple[ImageFrame, int]:
    """Return the frame of an image file, and how many of its pixels were no numbers."""
    with _open(path) as file:
        header = _parse_header(path, file)
        picture, spec = header.picture, header.spec
        used = [*picture.color, *([] if picture.alpha is None else [picture.alpha])]
        low, high = min(used), max(used) + 1
        # Integers as they are: OIIO's way to float takes four times as long as _to_planes.
        wanted = str(spec.format) if str(spec.format) in _LARGEST else "float"
        stored = file.read_image(picture.part, 0, low, high, wanted)
        error = file.geterror()
    if stored is None or "remature" in error:  # a JPEG that ends early is grey from there on
        raise _read_error(path, error or "its pixels cannot be read")
    planes = _to_planes(_display_window(np.asarray(stored), spec))
    repaired = 0
    if str(spec.format) in _FLOATS:
        planes, repaired = repair_non_finite(planes)
    alpha = None if picture.alpha is None else planes[picture.alpha - low]
    rgb = _take_color(planes, [index - low for index in picture.color])
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


@contextmanager
def _open(path: Path) -> Iterator[oiio.ImageInput]:
    """Open an image file. Raises ``FootageError``, also for whatever OIIO makes of its bytes."""
    try:
        file = oiio.ImageInput.open(str(path), _AS_STORED)
        if file is None:
            raise _read_error(path, oiio.geterror())
        try:
            yield file
        finally:
            file.close()
    except UnicodeDecodeError as error:  # names or messages of OIIO that hold the file's bytes
        raise _read_error(path, "its header is damaged") from error
    except MemoryError as error:
        raise _read_error(path, "it does not fit into memory") from error
    except (RuntimeError, ValueError, OSError, OverflowError) as error:
        raise _read_error(path, str(error)) from error


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


def _picture_notes(path: Path, picture: Picture) -> tuple[str, ...]:
    if not picture.others or not picture.layer:
        return ()
    return (f"{path.name}: the picture is {picture.layer}, beside {', '.join(picture.others)}.",)


def _alpha_kind(file: oiio.ImageInput, spec: oiio.ImageSpec) -> AlphaKind | None:
    """Return what the format or the file says; OIIO hands over what TIFF states."""
    if spec.get_int_attribute("oiio:UnassociatedAlpha", 0):
        return "straight"
    return _ALPHA_KINDS.get(file.format_name())


def _read_color(path: Path, spec: oiio.ImageSpec) -> tuple[ColorTag | None, tuple[str, ...]]:
    """Return the color encoding that a header states, with notes about what is not followed."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return _read_exr_color(path, spec)
    if suffix == ".dpx":
        transfer = spec.get_string_attribute("dpx:Transfer")
        if transfer in ("Logarithmic", "Printing density"):
            return ColorTag("unknown", transfer, refusal=f"is {transfer.lower()} DPX"), ()
        linear = ColorTag("lin_rec709_scene", "linear Rec.709")
        return (linear if transfer == "Linear" else None), ()
    numbers = spec.getattribute("CICP")
    if numbers is not None and len(numbers) >= 2:
        return tag_from_numbers(int(numbers[0]), int(numbers[1])), ()
    profile = spec.get_string_attribute("ICCProfile:profile_description")
    if profile:
        tag = tag_from_profile(profile)
        if tag is None and spec.nchannels > 2:
            return None, (f"{path.name} has the ICC profile {profile}; it is taken as sRGB.",)
        return tag, ()
    name = spec.get_string_attribute("oiio:ColorSpace")
    return (ColorTag(name, name) if name not in ("", "srgb_rec709_scene") else None), ()


def _read_exr_color(path: Path, spec: oiio.ImageSpec) -> tuple[ColorTag | None, tuple[str, ...]]:
    """Return the color of an EXR: its ACES flag, then its interop id, then its chromaticities."""
    values = spec.getattribute("chromaticities")
    primaries = None
    if values is not None and len(values) == 8 and _are_primaries(values):
        primaries = tag_from_chromaticities([float(value) for value in values])
    name = spec.get_string_attribute("colorInteropID")
    if spec.get_int_attribute("acesImageContainerFlag", 0) == 1:
        name = "lin_ap0_scene"
    if name in ("", "unknown", "data"):
        return primaries, ()
    if primaries is not None and name.startswith("lin_") and primaries.name != name:
        note = f"{path.name} says {name}, and chromaticities of {primaries.name}; the first counts."
        return ColorTag(name, name), (note,)
    return ColorTag(name, name), ()


def _are_primaries(values: tuple[float, ...]) -> bool:
    """Tell whether chromaticities span a color space at all."""
    if not all(math.isfinite(value) and abs(value) < 4 for value in values):
        return False
    red, green, blue, white = ((values[i], values[i + 1]) for i in (0, 2, 4, 6))
    area = (green[0] - red[0]) * (blue[1] - red[1]) - (green[1] - red[1]) * (blue[0] - red[0])
    return abs(area) > 1e-3 and white[1] > 1e-3 and all(each[1] for each in (red, green))


def _timecode(spec: oiio.ImageSpec) -> str:
    """Return the SMPTE timecode of a header, "" where there is none."""
    if spec.getattribute("smpte:TimeCode") is None:
        return ""
    text = str(spec.get_string_attribute("smpte:TimeCode"))
    return text if re.fullmatch(r"\d\d:\d\d:\d\d[:;]\d\d", text) else ""


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


def _read_error(path: Path, detail: str, hint: str = "") -> FootageError:
    cause = (detail.strip() or "no reason given").splitlines()[0].rstrip(".")
    return FootageError(
        f"{path} cannot be used as a picture: {cause}.",
        hint or "Check that the file opens elsewhere, or save it again.",
        reason="PICTURE_UNREADABLE",
    )
