"""The knobs about footage: the tab Footage, and a tab for each subject, the nearest first.

Boxes and points are pixels of the input from its lower left corner, as Nuke counts. Their knobs
have handles in the viewer; a handle that is moved counts, on the frame where it was moved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from layert2v.labels import LABELS
from layert2v_nuke.graph.knobs import (
    INSIDE,
    OFF,
    START_LINE,
    Box,
    button,
    field_knob,
    point_knobs,
)
from layert2v_nuke.graph.model import UserKnob

CHANNELS = ("alpha", "red", "green", "blue")
NO_MATTE = "none"

_SUBJECT = re.compile(r"subject_([0-9]+)_(.+)")
_POSITION = re.compile(r"subject_[0-9]+_box|place_[0-9]_box|.+_point_[0-9]+")


def footage_tab() -> tuple[UserKnob, ...]:
    """Return the tab that says which footage, and which frames of it."""
    return (
        UserKnob("Tab_Knob", "footage_tab", "Footage"),
        field_knob("Boolean_Knob", "footage_range", "footage_range", False, flags=START_LINE),
        field_knob("Int_Knob", "footage_first", "footage_first", 1001),
        field_knob("Int_Knob", "footage_last", "footage_last", 1100),
        field_knob("Int_Knob", "footage_handles", "footage_handles", 0),
        field_knob("Boolean_Knob", "footage_split", "footage_split", False, flags=START_LINE),
        field_knob("Boolean_Knob", "footage_ignore_cuts", "footage_ignore_cuts", False),
        field_knob("Double_Knob", "footage_scale", "footage_scale", 1.0),
        UserKnob(
            "Boolean_Knob",
            "footage_plate",
            "Clean plate of input bg",
            False,
            tooltip="Your own background in place of what other frames show",
            flags=START_LINE,
        ),
        button(
            "subject_add",
            "Add subject",
            "subject_add",
            START_LINE,
            "One more foreground, behind those before it; without any the main subject is found",
        ),
        button("decompose", LABELS["decompose"].text, "decompose", (), LABELS["decompose"].tooltip),
    )


def subject_tab(number: int, box: Box, frame: int) -> tuple[UserKnob, ...]:
    """Return the tab of a subject; ``box`` and ``frame`` are where its handles begin."""
    name = f"subject_{number}"
    return (
        UserKnob("Tab_Knob", f"{name}_tab", f"Subject {number}"),
        UserKnob(
            "String_Knob",
            f"{name}_words",
            "Name",
            tooltip="What it is, such as 'the dog'; may be empty",
        ),
        field_knob("Boolean_Knob", f"{name}_has_box", "subject_box", False, flags=START_LINE),
        UserKnob("BBox_Knob", f"{name}_box", "", box),
        UserKnob("Int_Knob", f"{name}_box_frame", "Frame", frame),
        *point_knobs(name, box, frame),
        *_matte_knobs(name, frame),
        button(f"{name}_nearer", "Nearer", f"subject_nearer {number}", START_LINE),
        button(f"{name}_farther", "Farther", f"subject_farther {number}"),
        button(f"{name}_remove", "Remove", f"subject_remove {number}"),
    )


def _matte_knobs(name: str, frame: int) -> tuple[UserKnob, ...]:
    return (
        UserKnob(
            "Enumeration_Knob",
            f"{name}_matte",
            "Matte of input matte",
            NO_MATTE,
            items=(NO_MATTE, *CHANNELS),
            tooltip="The channel that is white where the subject is",
        ),
        field_knob("Boolean_Knob", f"{name}_matte_all", "matte_all", True, flags=START_LINE),
        UserKnob("Int_Knob", f"{name}_matte_frame", "Frame", frame),
    )


def subject_values(values: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return what the knobs of a subject hold, by the ends of their names."""
    found = {name: _SUBJECT.fullmatch(name) for name in values}
    return {
        match[2]: values[name]
        for name, match in found.items()
        if match is not None and int(match[1]) == number
    }


def subject_numbers(knobs: Iterable[str]) -> list[int]:
    """Return the numbers of the subjects that a node has, by the names of its knobs."""
    found = (_SUBJECT.fullmatch(name) for name in knobs)
    return sorted({int(match[1]) for match in found if match is not None and match[2] == "words"})


def subject_knobs(knobs: Iterable[str], number: int) -> list[str]:
    """Return the knobs of a subject among those of a node, its tab and buttons too."""
    found = {name: _SUBJECT.fullmatch(name) for name in knobs}
    return [name for name, match in found.items() if match and int(match[1]) == number]


def holds_subject_value(name: str) -> bool:
    """Return whether a knob holds what is said about a subject."""
    match = _SUBJECT.fullmatch(name)
    return match is not None and match[2] not in ("tab", "nearer", "farther", "remove")


def is_position(name: str) -> bool:
    """Return whether a knob is a box or a point, which hold several numbers."""
    return _POSITION.fullmatch(name) is not None


def moved_hint(name: str, values: Mapping[str, Any], frame: int) -> dict[str, Any]:
    """Return the knobs to set when the handle of ``name`` was moved: it counts, on ``frame``.

    Nothing is set for a knob of the artist's own that has such a name.
    """
    if name.endswith("_box"):
        return {f"{name[: -len('box')]}has_box": True, f"{name}_frame": frame}
    kind = values.get(f"{name}_is")
    if kind is None:
        return {}
    return {f"{name}_is": INSIDE if kind == OFF else kind, f"{name}_frame": frame}
