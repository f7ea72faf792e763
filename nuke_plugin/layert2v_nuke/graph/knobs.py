"""Knobs that tabs share: buttons that do no harm without the plug-in, fields, and points.

A point, of a subject or of a layer, has three knobs: whether it counts, where it is, in pixels from
the lower left corner and with a handle in the viewer, and on which frame.
"""

from __future__ import annotations

from layert2v.labels import LABELS
from layert2v_nuke.graph.model import UserKnob, Value

HIDDEN = ("INVISIBLE",)
START_LINE = ("STARTLINE",)
POINTS = 3  # of each subject, and of each foreground of a stack
OFF, INSIDE, OUTSIDE = "off", "on the subject", "beside it"

Box = tuple[float, float, float, float]  # x, y, right, top

BUTTON = """try:
    from layert2v_nuke import api
except ImportError:
    import nuke
    nuke.message('This button needs the LayerT2V plug-in. The pictures do not.')
else:
    api.press({0!r})"""
KNOB_CHANGED = """try:
    from layert2v_nuke import api
except ImportError:
    pass
else:
    api.knob_changed()"""


def button(
    name: str, label: str, action: str, flags: tuple[str, ...] = (), tooltip: str = ""
) -> UserKnob:
    """Return a button that runs an action of the controller."""
    code = BUTTON.format(action)
    return UserKnob("PyScript_Knob", name, label, code=code, flags=flags, tooltip=tooltip)


def field_knob(
    kind: str,
    name: str,
    field: str,
    value: Value = "",
    *,
    note: str = "",
    items: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
) -> UserKnob:
    """Return a knob with the label and tooltip that its field has in every host."""
    label = LABELS[field]
    tooltip = "; ".join(text for text in (label.tooltip, note) if text)
    return UserKnob(kind, name, label.text, value, items=items, tooltip=tooltip, flags=flags)


def middle_box(width: int, height: int) -> Box:
    """Return the middle of a picture, where handles begin."""
    return width * 0.25, height * 0.25, width * 0.75, height * 0.75


def point_knobs(owner: str, box: Box, frame: int, tooltip: str = "") -> tuple[UserKnob, ...]:
    """Return the knobs of the points of ``owner``, which are off, side by side in ``box``."""
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    shift = (box[2] - box[0]) / (POINTS + 1)
    knobs: list[UserKnob] = []
    for k, name in enumerate(point_names(owner), 1):
        x = middle[0] + shift * (k - (POINTS + 1) / 2)
        knobs += [
            UserKnob(
                "Enumeration_Knob",
                f"{name}_is",
                f"Point {k}",
                OFF,
                items=(OFF, INSIDE, OUTSIDE),
                tooltip=tooltip,
            ),
            UserKnob("XY_Knob", name, "", (x, middle[1])),
            UserKnob("Int_Knob", f"{name}_frame", "Frame", frame),
        ]
    return tuple(knobs)


def point_names(owner: str) -> tuple[str, ...]:
    """Return the names of the knobs that say where the points of ``owner`` are."""
    return tuple(f"{owner}_point_{k}" for k in range(1, POINTS + 1))


def point_knob_names(owner: str) -> tuple[str, ...]:
    """Return the names of all knobs of the points of ``owner``."""
    return tuple(f"{name}{end}" for name in point_names(owner) for end in ("_is", "", "_frame"))


def points_off(owner: str) -> dict[str, str]:
    """Return the knobs to set so that no point of ``owner`` counts; where they are stays."""
    return {f"{name}_is": OFF for name in point_names(owner)}
