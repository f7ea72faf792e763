"""Names of color spaces in the configuration that Blender runs with.

A studio's ``$OCIO`` has other names than Blender's own configuration, and Blender takes no aliases.
Spaces are matched by meaning; one that is not offered is an error, never another space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from layert2v.colorspaces import find_nearest

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
TITLES = {space: names[0] for space, names in _NAMES.items()}


class ColorspaceNotFound(Exception):
    """A stack's color space has no name in the running configuration; the message says which."""


def find_name(space: str, offered: Iterable[str]) -> str:
    """Return the name for an interop id among those offered. Raises ``ColorspaceNotFound``."""
    by_lower = {name.lower(): name for name in offered}
    name = _match_name(space, by_lower)
    if name:
        return name
    raise ColorspaceNotFound(
        f"The stack is in {TITLES.get(space, space)}, which Blender's color configuration does "
        "not offer; make it in a space such as ACEScg, or add the space to the configuration. "
        + _describe_nearest(space, by_lower)
    )


def _match_name(space: str, by_lower: Mapping[str, str]) -> str:
    wanted = (each.lower() for each in (*_NAMES.get(space, ()), space))
    return next((by_lower[each] for each in wanted if each in by_lower), "")


def _describe_nearest(space: str, by_lower: Mapping[str, str]) -> str:
    """Return which offered space is nearest, and how wrong colors would be in it."""
    names = {each: _match_name(each, by_lower) for each in _NAMES}
    nearest = find_nearest(space, [each for each, name in names.items() if name])
    if nearest is None:
        return "It offers none that is near"
    return (
        f"The nearest that it offers is {names[nearest.space]}, in which colors would be off by "
        f"up to {nearest.delta_e:.0f} (CIE 1976 difference)"
    )


def find_linear(offered: Sequence[str]) -> tuple[str, str]:
    """Return interop id and name of a linear space that is offered, Rec.709 before others.

    Raises ``ColorspaceNotFound``.
    """
    for space in _NAMES:
        try:
            return space, find_name(space, offered)
        except ColorspaceNotFound:
            continue
    raise ColorspaceNotFound("Blender's color configuration offers no linear space that is known")


def is_linear_name(name: str) -> bool:
    """Return whether a name of a configuration is that of a linear space that is known."""
    return any(name.lower() == known.lower() for names in _NAMES.values() for known in names)


def offered_names() -> list[str]:
    """Return the names that the running configuration offers."""
    import bpy  # the functions above need no Blender

    settings = bpy.types.ColorManagedInputColorspaceSettings
    return [item.identifier for item in settings.bl_rna.properties["name"].enum_items]
