"""The color encoding that the header of an image file states. Knows headers, no pixels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import OpenImageIO as oiio
from torch import Tensor

from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.color_tags import (
    tag_from_chromaticities,
    tag_from_numbers,
    tag_from_profile,
)
from layert2v_engine.image.footage.info import ColorTag
from layert2v_engine.image.footage.png_header import PngHeader

# Encodings that libraries convert to RGB by a rule of thumb: only a profile tells the colors.
_INKS = "the inks of a printing press (CMYK)"
_OTHER_MODELS = {"CMYK": _INKS, "YCbCrK": _INKS, "CIELAB": "CIE L*a*b*"} | {
    "ICCLAB": "CIE L*a*b*",
    "ITULAB": "CIE L*a*b*",
}


class StatedColor(NamedTuple):
    """The color space, None where nothing is said; whether all codes are used; notes."""

    tag: ColorTag | None
    full_range: bool = True
    notes: tuple[str, ...] = ()


def read_color(path: Path, format: str, spec: oiio.ImageSpec, png: PngHeader) -> StatedColor:
    """Return the color encoding that a header states, with notes about what is not followed.

    Raises ``FootageError`` for a color model that is no RGB.
    """
    if format == "openexr":
        return _read_exr_color(path, spec)
    if format == "dpx":
        return _read_dpx_color(spec)
    for attribute in ("tiff:ColorSpace", "jpeg:ColorSpace"):
        model = _OTHER_MODELS.get(spec.get_string_attribute(attribute))
        if model:
            raise FootageError(
                f"{path} cannot be used as a picture: its colors are {model}.",
                "Convert it to RGB first.",
                reason="PICTURE_UNREADABLE",
            )
    numbers = spec.getattribute("CICP")
    if numbers is not None and len(numbers) >= 2:
        is_full = len(numbers) < 4 or bool(numbers[3])
        return StatedColor(tag_from_numbers(int(numbers[0]), int(numbers[1])), is_full)
    profile = spec.get_string_attribute("ICCProfile:profile_description")
    if profile:
        tag = tag_from_profile(profile)
        if tag is None and spec.nchannels > 2:
            note = f"{path.name} has the ICC profile {profile}; it is taken as sRGB."
            return StatedColor(None, notes=(note,))
        return StatedColor(tag)
    if png.chromaticities and _are_primaries(png.chromaticities):
        return StatedColor(tag_from_chromaticities(png.chromaticities, png.gamma))
    name = spec.get_string_attribute("oiio:ColorSpace")
    return StatedColor(ColorTag(name, name) if name not in ("", "srgb_rec709_scene") else None)


def expand_limited_range(rgb: Tensor, bits: int) -> Tensor:
    """Return ``[3, H, W]`` in 0..1 whose black and white were codes 16 and 235 of 8 ``bits``."""
    step, top = 2.0 ** (bits - 8), 2.0**bits - 1.0
    return ((rgb * top - 16.0 * step) / (219.0 * step)).clamp(0.0, 1.0)


def _read_dpx_color(spec: oiio.ImageSpec) -> StatedColor:
    transfer = spec.get_string_attribute("dpx:Transfer")
    if transfer in ("Logarithmic", "Printing density"):
        return StatedColor(ColorTag("unknown", transfer, refusal=f"is {transfer.lower()} DPX"))
    linear = ColorTag("lin_rec709_scene", "linear Rec.709")
    return StatedColor(linear if transfer == "Linear" else None)


def _read_exr_color(path: Path, spec: oiio.ImageSpec) -> StatedColor:
    """Return the color of an EXR: its ACES flag, then its interop id, then its chromaticities."""
    values = spec.getattribute("chromaticities")
    primaries = None
    if values is not None and len(values) == 8 and _are_primaries(values):
        primaries = tag_from_chromaticities([float(value) for value in values])
    name = spec.get_string_attribute("colorInteropID")
    if spec.get_int_attribute("acesImageContainerFlag", 0) == 1:
        name = "lin_ap0_scene"
    if name in ("", "unknown", "data"):
        return StatedColor(primaries)
    if primaries is not None and name.startswith("lin_") and primaries.name != name:
        note = f"{path.name} says {name}, and chromaticities of {primaries.name}; the first counts."
        return StatedColor(ColorTag(name, name), notes=(note,))
    return StatedColor(ColorTag(name, name))


def _are_primaries(values: tuple[float, ...]) -> bool:
    """Tell whether chromaticities span a color space at all."""
    if not all(math.isfinite(value) and abs(value) < 4 for value in values):
        return False
    red, green, blue, white = ((values[i], values[i + 1]) for i in (0, 2, 4, 6))
    area = (green[0] - red[0]) * (blue[1] - red[1]) - (green[1] - red[1]) * (blue[0] - red[0])
    return abs(area) > 1e-3 and white[1] > 1e-3 and all(each[1] for each in (red, green))
