"""Names of color spaces: from a stack's to one that Nuke offers, and from the project's to ours.

Stacks name their space by its Color Interop Forum id. Nuke names it as the project's configuration
does. Nothing here changes a project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from layert2v.colorspaces import PRIMARIES, conversion_matrix, find_nearest
from layert2v_nuke.graph.model import ReadColorspace

# The most particular name first. A role such as scene_linear says nothing about primaries, so it is
# no name of a space; plain "linear" is Rec.709 in Nuke's own color management.
_NAMES = {
    "lin_rec709_scene": (
        "lin_rec709_scene", "Linear Rec.709 (sRGB)", "lin_rec709_srgb", "lin_rec709", "lin_srgb",
        "Utility - Linear - Rec.709", "Utility - Linear - sRGB", "linear",
    ),
    "lin_ap1_scene": ("lin_ap1_scene", "ACEScg", "ACES - ACEScg", "lin_ap1"),
    "lin_ap0_scene": (
        "lin_ap0_scene", "ACES2065-1", "ACES - ACES2065-1", "lin_ap0", "aces", "ACES2065_1",
    ),
    "lin_rec2020_scene": (
        "lin_rec2020_scene", "Linear Rec.2020", "lin_rec2020", "Utility - Linear - Rec.2020",
    ),
    "lin_p3d65_scene": (
        "lin_p3d65_scene", "Linear P3-D65", "lin_p3d65", "Utility - Linear - P3-D65",
    ),
}  # fmt: skip
_WORKING_ROLES = ("scene_linear", "rendering")
TITLES = {
    "lin_rec709_scene": "Linear Rec.709 (sRGB)",
    "lin_ap1_scene": "ACEScg",
    "lin_ap0_scene": "ACES2065-1",
    "lin_rec2020_scene": "Linear Rec.2020",
    "lin_p3d65_scene": "Linear P3-D65",
}


def item_value(item: str) -> str:
    """Return the value of an item of Nuke's list, which may have a menu label after a tab."""
    return item.split("\t", 1)[0]


def choose_colorspace(
    space: str, offered: Sequence[str], *, working: str = "", nearest: bool = False
) -> ReadColorspace:
    """Return the offered name for ``space``; raw with a note where none is offered.

    ``working`` is the id of the project's working space, which its role names where nothing else
    does, and to which a known space that is not offered is converted by a matrix. Where the working
    space is not known either, ``nearest`` takes the nearest space, and the note says its error.
    """
    names = {item_value(item).lower(): item_value(item) for item in offered}
    name = _match_name(space, names)
    if not name and working == space:
        name = next((names[role] for role in _WORKING_ROLES if role in names), "")
    if name:
        return ReadColorspace(name)
    if working in PRIMARIES and space in PRIMARIES:
        return _convert(space, working)
    return (nearest and _take_nearest(space, names)) or raw_fallback(space, names)


def _convert(space: str, working: str) -> ReadColorspace:
    """Return raw, with the matrix to the project's working space and a note about it."""
    title, target = TITLES[space], TITLES[working]
    if space == working:
        return ReadColorspace("", f"raw: {title} is the working space of this project")
    rows = conversion_matrix(space, working)
    return ReadColorspace(
        "",
        f"{title} is not offered by this project; converted to {target} by a matrix",
        tuple(tuple(round(value, 8) for value in row) for row in rows),  # as scripts hold them
    )


def _take_nearest(space: str, names: Mapping[str, str]) -> ReadColorspace | None:
    found = _find_nearest(space, names)
    if found is None:
        return None
    name, error = found
    title = TITLES.get(space, space)
    return ReadColorspace(name, f"{title} is not offered by this project; taken as {name}, {error}")


def raw_fallback(space: str, names: Mapping[str, str] = MappingProxyType({})) -> ReadColorspace:
    """Return no conversion, with a note that the project does not offer ``space``.

    ``names`` are those that it offers, by their lower case: the note has the nearest of them.
    """
    note = f"raw: {TITLES.get(space, space)} is not offered by this project"
    nearest = _find_nearest(space, names)
    if nearest is not None:
        note += f"; nearest: {', '.join(nearest)}"
    return ReadColorspace("", note)


def _find_nearest(space: str, names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name of the nearest space that is offered, and its error in words."""
    matched = {each: _match_name(each, names) for each in _NAMES}
    nearest = find_nearest(space, [each for each, name in matched.items() if name])
    if nearest is None:
        return None
    return matched[nearest.space], f"off by up to {nearest.delta_e:.0f} (CIE 1976)"


def _match_name(space: str, names: Mapping[str, str]) -> str:
    wanted = (each.lower() for each in (*_NAMES.get(space, ()), space))
    return next((names[each] for each in wanted if each in names), "")


def raw_default(space: str) -> ReadColorspace:
    """Return no conversion, for scripts written without Nuke; the note names ``space``."""
    return ReadColorspace("", f"raw: {TITLES.get(space, space)}")


def interop_id(name: str) -> str:
    """Return the Color Interop Forum id of Nuke's ``name``; "" where it does not say which."""
    wanted = item_value(name).lower()
    for space, names in _NAMES.items():
        if wanted in (known.lower() for known in names):
            return space
    return ""


def working_space(management: str, config: str, working: str) -> str:
    """Return the id of the project's working space; "" where its names do not say which.

    ``management`` is ``Nuke`` or ``OCIO``, ``config`` the name of the OCIO configuration,
    ``working`` the name of the working space.
    """
    if management == "Nuke" or config == "nuke-default":
        return "lin_rec709_scene"
    if interop_id(working):
        return interop_id(working)
    built_in = config.startswith(("aces_", "cg-config-", "studio-config-", "fn-nuke_"))
    return "lin_ap1_scene" if built_in and working in ("scene_linear", "rendering") else ""
