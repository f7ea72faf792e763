"""Handles in the viewer for the places of foregrounds, and what they say in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from layert2v.errors import SpecError
from layert2v.placement import drawn_placement, parse_placement, placement_text
from layert2v_nuke.graph.model import UserKnob

Box = tuple[float, float, float, float]  # left, bottom, right and top in pixels, from the bottom

_MIDDLE = "box 0.25 0.25 0.5 0.5"
_BOX = re.compile(r"place_([1-9])_box")


def place_number(knob: str) -> int:
    """Return the foreground whose handle a knob is, 0 for any other knob."""
    found = _BOX.fullmatch(knob)
    return int(found[1]) if found else 0


def place_handle(
    number: int, text: str, size: tuple[int, int], knobs: Iterable[str]
) -> tuple[UserKnob, ...]:
    """Return the knobs that are missing for a handle where ``text`` says, or in the middle.

    size: of the picture, in pixels. knobs: names of those of the node that hold values.
    """
    name, there = f"place_{number}_box", [knob for knob in knobs if place_number(knob)]
    tab = () if there else (UserKnob("Tab_Knob", "places_tab", "Places"),)
    handle = UserKnob("BBox_Knob", name, f"Place {number}", place_box(text, size))
    return () if name in there else (*tab, handle)


def place_box(text: str, size: tuple[int, int]) -> Box:
    """Return the box around a place in words, in pixels; that in the middle for no place."""
    try:
        place = parse_placement(text)
    except SpecError:
        place = parse_placement(_MIDDLE)
    width, height = size
    left, top = place.x * width, (1 - place.y) * height
    return left, top - place.height * height, left + place.width * width, top


def place_words(box: Box, size: tuple[int, int], before: str) -> str:
    """Return a box in words, of the shape and strength that ``before`` has.

    Raises ``SpecError`` where nothing of the picture is in it.
    """
    left, bottom, right, top = box
    height = size[1]
    shape = "ellipse" if "ellipse" in before else "box"
    corners = (left, height - bottom), (right, height - top)
    return placement_text(drawn_placement(shape, corners, size, before))
