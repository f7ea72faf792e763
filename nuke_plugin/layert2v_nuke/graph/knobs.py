"""Knobs that tabs share: buttons that do no harm without the plug-in, and flags."""

from __future__ import annotations

from layert2v.labels import LABELS
from layert2v_nuke.graph.model import UserKnob, Value

HIDDEN = ("INVISIBLE",)
START_LINE = ("STARTLINE",)

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
