"""Names of color spaces in the configuration that Blender runs with.

A studio's ``$OCIO`` has other names than Blender's own configuration, and Blender takes no aliases.
Spaces are matched by meaning: by name, else the working space by the colors that Blender computes.
One that is not offered is converted to the working space by a matrix where nodes can do it; where
they cannot it is an error, and the nearest is taken only where the artist chooses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from layert2v.colorspaces import PRIMARIES, Matrix, conversion_matrix, find_nearest

# By OCIO interop id: the names of Blender's own and of the ACES configurations, newest first.
_NAMES = {
    "lin_rec709_scene": (
        "Linear Rec.709", "Linear Rec.709 (sRGB)", "lin_rec709_scene", "lin_rec709_srgb",
        "lin_rec709", "lin_srgb", "Utility - Linear - Rec.709", "Utility - Linear - sRGB",
        "Linear",
    ),
    "lin_ap1_scene": ("ACEScg", "lin_ap1_scene", "lin_ap1", "ACES - ACEScg"),
    "lin_ap0_scene": ("ACES2065-1", "lin_ap0_scene", "lin_ap0", "ACES - ACES2065-1"),
    "lin_rec2020_scene": (
        "Linear Rec.2020", "lin_rec2020_scene", "lin_rec2020", "Utility - Linear - Rec.2020",
    ),
    "lin_p3d65_scene": (
        "Linear DCI-P3 D65", "Linear P3-D65", "lin_p3d65_scene", "lin_p3d65",
        "Utility - Linear - P3-D65",
    ),
}  # fmt: skip
# Red, green and blue of each space in linear Rec.709, whites adapted (Bradford), as OCIO has them.
_IN_REC709 = {
    "lin_rec709_scene": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "lin_ap1_scene": (
        (1.7051, -0.1303, -0.0240), (-0.6218, 1.1408, -0.1290), (-0.0833, -0.0105, 1.1530),
    ),
    "lin_ap0_scene": (
        (2.5217, -0.2765, -0.0154), (-1.1341, 1.3727, -0.1530), (-0.3876, -0.0962, 1.1684),
    ),
    "lin_rec2020_scene": (
        (1.6605, -0.1246, -0.0182), (-0.5876, 1.1329, -0.1006), (-0.0728, -0.0083, 1.1187),
    ),
    "lin_p3d65_scene": (
        (1.2249, -0.0421, -0.0196), (-0.2249, 1.0421, -0.0786), (0.0, 0.0, 1.0983),
    ),
}  # fmt: skip
_SAME = 2e-3  # configurations round their matrices; two of these spaces differ by 0.03 and more
TITLES = {space: names[0] for space, names in _NAMES.items()}


class ColorspaceNotFound(Exception):
    """A stack's color space has no name in the running configuration; the message says which."""


class Offer(NamedTuple):
    """The names that a configuration offers, and its working space: its name and interop id."""

    names: Sequence[str]
    working: tuple[str, str] = ("", "")


class ImageColors(NamedTuple):
    """The color space of images, and the matrix by which nodes convert what they give, if any."""

    name: str
    matrix: Matrix = ()


def find_image_colors(space: str, offer: Offer, *, nearest: bool = False) -> ImageColors:
    """Return how images in an interop id's space are shown by nodes.

    Where the space is not offered, they are read as the working space, which changes nothing, and a
    matrix converts them to it. Raises ``ColorspaceNotFound`` where that is not known either.
    """
    try:
        return ImageColors(find_name(space, offer))
    except ColorspaceNotFound:
        name, working = offer.working
        if name in offer.names and {space, working} <= PRIMARIES.keys():
            return ImageColors(name, conversion_matrix(space, working))
        return ImageColors(find_name(space, offer, nearest=nearest))


def describe_conversion(space: str, offer: Offer) -> str:
    """Return a sentence about the matrix that nodes convert ``space`` by, "" where none does."""
    try:
        colors = find_image_colors(space, offer)
    except ColorspaceNotFound:
        return ""
    if not colors.matrix:
        return ""
    title = TITLES.get(space, space)
    return f"{title} is not offered; compositor and planes convert it to {colors.name} by a matrix"


def find_name(space: str, offer: Offer, *, nearest: bool = False) -> str:
    """Return the name for an interop id among those offered; the ``nearest`` where that is chosen.

    Raises ``ColorspaceNotFound``.
    """
    name = _match_name(space, _by_lower(offer))
    if name:
        return name
    name, working = offer.working
    if working == space and name in offer.names:
        return name
    found = _find_nearest(space, offer)
    if nearest and found is not None:
        return found[0]
    raise ColorspaceNotFound(
        f"The stack is in {TITLES.get(space, space)}, which Blender's color configuration does "
        "not offer; make it in a space such as ACEScg, or add the space to the configuration. "
        + (f"The nearest that it offers is {_words(*found)}" if found else "None is near")
    )


def describe_nearest(space: str, offer: Offer) -> str:
    """Return the nearest space and how wrong colors are in it; "" where ``space`` is offered."""
    try:
        find_name(space, offer)
    except ColorspaceNotFound:
        found = _find_nearest(space, offer)
        return _words(*found) if found else ""
    return ""


def _by_lower(offer: Offer) -> dict[str, str]:
    return {name.lower(): name for name in offer.names}


def _match_name(space: str, by_lower: Mapping[str, str]) -> str:
    wanted = (each.lower() for each in (*_NAMES.get(space, ()), space))
    return next((by_lower[each] for each in wanted if each in by_lower), "")


def _find_nearest(space: str, offer: Offer) -> tuple[str, float] | None:
    """Return the name of the nearest space that is offered, and the color difference."""
    by_lower = _by_lower(offer)
    names = {each: _match_name(each, by_lower) for each in _NAMES}
    nearest = find_nearest(space, [each for each, name in names.items() if name])
    return None if nearest is None else (names[nearest.space], nearest.delta_e)


def _words(name: str, delta_e: float) -> str:
    return f"{name}, in which colors are off by up to {delta_e:.0f} (CIE 1976 difference)"


def find_linear(offer: Offer) -> tuple[str, str]:
    """Return interop id and name of a linear space that is offered, Rec.709 before others.

    Raises ``ColorspaceNotFound``.
    """
    for space in _NAMES:
        try:
            return space, find_name(space, offer)
        except ColorspaceNotFound:
            continue
    raise ColorspaceNotFound("Blender's color configuration offers no linear space that is known")


def is_linear_name(name: str) -> bool:
    """Return whether a name of a configuration is that of a linear space that is known."""
    return any(name.lower() == known.lower() for names in _NAMES.values() for known in names)


def identify_working_space(primaries: Sequence[Sequence[float]]) -> str:
    """Return the id of the space with these red, green and blue in linear Rec.709, or ""."""
    for space, known in _IN_REC709.items():
        pairs = zip(sum(map(tuple, primaries), ()), sum(known, ()), strict=True)
        if all(abs(value - expected) < _SAME for value, expected in pairs):
            return space
    return ""


@lru_cache(maxsize=1)  # a configuration is read once, when Blender starts
def _working_name() -> str:
    """Return the name of the working space by the image of floats that gets it."""
    import bpy

    image = bpy.data.images.new("LayerT2V", 1, 1, float_buffer=True)
    name = str(image.colorspace_settings.name)
    bpy.data.images.remove(image)
    return name


def current_offer(*, is_drawing: bool = False) -> Offer:
    """Return what the running configuration offers.

    Blender 5 says its working space. Before, an image tells; none can be made while something is
    drawn, so nothing is said then until an import has asked.
    """
    import bpy  # the functions above need no Blender
    from mathutils import Color

    settings = bpy.types.ColorManagedInputColorspaceSettings
    names = [item.identifier for item in settings.bl_rna.properties["name"].enum_items]
    blend = getattr(bpy.data, "colorspace", None)
    axes = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    primaries = [tuple(Color(axis).from_scene_linear_to_rec709_linear()) for axis in axes]
    if blend is not None:
        working = str(blend.working_space)
    else:
        is_known = not is_drawing or _working_name.cache_info().currsize > 0
        working = _working_name() if is_known else ""
    return Offer(names, (working, identify_working_space(primaries)))
