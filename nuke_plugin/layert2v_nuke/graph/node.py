"""The LayerT2V node as data: its knobs, its inside, and the words of its life.

Knows no host: a node is a mapping from knob names to values. Text of the artist lives in
``String_Knob`` alone, which Nuke keeps as it is; other text knobs of Nuke run what is in brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from layert2v.stack import Layer, Role, Stack
from layert2v_nuke.graph.colorspaces import TITLES
from layert2v_nuke.graph.model import (
    Colour,
    Graph,
    Node,
    UserKnob,
    Value,
    inside,
    mute_knob,
    nuke_layers,
)

SCHEMA = 1
FOREGROUNDS = 3
DEFAULT_MODEL = "mini"
PROJECT_COLOUR = "the project's"
COLOURS = (PROJECT_COLOUR, *TITLES)
TILE_COLOUR, FAILED_COLOUR = 0x3A5F5FFF, 0x7A2E2EFF

# The life of a request, as far as a node sees it. Those in PENDING are resumed with the script;
# a press that only looked for the server, or rendered an input, is gone with the session.
IDLE, DONE, FAILED, CANCELLED, LOST = "idle", "done", "failed", "cancelled", "lost"
LOOKING, RENDERING, SENDING = "looking", "rendering", "sending"
PENDING = (SENDING, "waiting", "uploading", "queued", "running", "cancelling", "fetching")

HIDDEN = ("INVISIBLE",)
LINE = ("STARTLINE",)
_VALUES = ("_version", "_prompt", "_seed", "_strength", "_freeze", "_mute")
_OF_A_LAYER = ("_tab", "_made", "_rerender", "_plate", *_VALUES)

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


def main_knobs(uuid: str, models: Sequence[str] = (DEFAULT_MODEL,)) -> tuple[UserKnob, ...]:
    """The knobs that every LayerT2V node has, in the order of its panel."""
    return (
        UserKnob("Tab_Knob", "layert2v", "LayerT2V"),
        UserKnob("String_Knob", "prompt", "Scene", tooltip="The whole picture in one sentence"),
        UserKnob("String_Knob", "background", "Background", tooltip="Empty: taken from the scene"),
        *(
            UserKnob("String_Knob", f"foreground_{n}", f"Foreground {n}", tooltip="May be empty")
            for n in range(1, FOREGROUNDS + 1)
        ),
        UserKnob("String_Knob", "negative", "Without", tooltip="What must not be seen"),
        UserKnob("Enumeration_Knob", "model", "Model", models[0], items=tuple(models)),
        UserKnob("Enumeration_Knob", "colorspace", "Colour", COLOURS[0], items=COLOURS),
        UserKnob(
            "Boolean_Knob", "follow_project", "Size and range of the project", True, flags=LINE
        ),
        UserKnob("Int_Knob", "width", "Width", 0),
        UserKnob("Int_Knob", "height", "Height", 0),
        UserKnob("Int_Knob", "frames", "Frames", 0),
        UserKnob("Int_Knob", "start", "First frame", 1001),
        UserKnob("Double_Knob", "fps", "Frames a second", 24.0),
        UserKnob("Text_Knob", "size_note", "Made as"),
        UserKnob("String_Knob", "seed", "Seed", tooltip="Empty: a new one each time"),
        _button("reroll", "Re-roll", "reroll"),
        UserKnob("Int_Knob", "steps", "Steps", 0, tooltip="0: as many as the model likes"),
        UserKnob("Double_Knob", "guidance", "Guidance", -1.0, tooltip="-1: what the model likes"),
        _button("generate", "Generate", "generate", flags=LINE),
        _button("rerender", "Re-render what is not frozen", "rerender"),
        _button("cancel", "Cancel", "cancel"),
        UserKnob("Text_Knob", "status", "State", "Write a prompt and press Generate."),
        UserKnob("Text_Knob", "progress", "Progress"),
        UserKnob("Text_Knob", "preview", "Preview"),
        _button("explode", "Explode", "explode", flags=LINE),
        UserKnob("String_Knob", "folder", "Stack", tooltip="The folder of the layer stack"),
        *_hidden(uuid),
    )


def _hidden(uuid: str) -> tuple[UserKnob, ...]:
    """What outlives the session: no secret, and nothing that only this machine knows but folder."""
    texts = {
        "l2v_uuid": uuid, "l2v_life": IDLE, "l2v_request": "", "l2v_job": "", "l2v_asked": "",
    }  # fmt: skip
    return (
        UserKnob("Int_Knob", "l2v_schema", "l2v_schema", SCHEMA, flags=HIDDEN),
        *(UserKnob("String_Knob", k, k, value, flags=HIDDEN) for k, value in texts.items()),
    )


def layer_knobs(stack: Stack) -> tuple[UserKnob, ...]:
    """A tab for each layer, the topmost first, as layers are listed everywhere."""
    return tuple(knob for layer in reversed(stack.layers) for knob in _tab(layer))


def layers_of(knobs: Iterable[str]) -> list[str]:
    """The layers that have a tab, by the names of all knobs of a node."""
    names = set(knobs)
    tabs = [name[: -len("_tab")] for name in knobs if name.endswith("_tab")]
    return [name for name in tabs if f"{name}_version" in names]


def layer_knob_names(layer: str, *, values: bool = False) -> tuple[str, ...]:
    """What is on a layer's tab, the tab too; with ``values`` what holds something."""
    return tuple(f"{layer}{end}" for end in (_VALUES if values else _OF_A_LAYER))


def holds_value(knob: UserKnob) -> bool:
    """Whether a knob holds something that a request may need."""
    return knob.kind not in ("Tab_Knob", "PyScript_Knob", "Text_Knob")


def shown(values: Mapping[str, Any]) -> dict[str, int]:
    """The versions that the node shows."""
    end = "_version"
    found = {name: int(value) for name, value in values.items() if name.endswith(end)}
    return {name[: -len(end)]: version for name, version in found.items()}


def made_with(layer: Layer) -> str:
    """Where the pixels of a version come from."""
    return f"seed {layer.seed}" if layer.source == "generated" else layer.source


def is_plate(layer: Layer) -> bool:
    """Whether the artist has brought the pixels: they are held until Freeze is unticked."""
    return layer.source == "plate"


def _tab(layer: Layer) -> tuple[UserKnob, ...]:
    name = layer.name
    uses = "bg" if layer.role is Role.background else "fg"
    plate = _button(f"{name}_plate", f"Use input {uses}", f"plate {name}")
    return (
        UserKnob("Tab_Knob", f"{name}_tab", name),
        UserKnob("Int_Knob", f"{name}_version", "Version", layer.version),
        UserKnob("Text_Knob", f"{name}_made", "Made with", made_with(layer)),
        UserKnob("String_Knob", f"{name}_prompt", "Prompt", layer.prompt),
        UserKnob("String_Knob", f"{name}_seed", "Seed", tooltip="Empty: a new one each time"),
        UserKnob("Double_Knob", f"{name}_strength", "Strength", 1.0, tooltip="1: all new"),
        UserKnob("Boolean_Knob", f"{name}_freeze", "Freeze", is_plate(layer), flags=LINE),
        UserKnob("Boolean_Knob", mute_knob(name), "Mute", False),
        _button(f"{name}_rerender", "Re-render", f"rerender {name}", flags=LINE),
        *(() if layer.role is Role.shadow else (plate,)),
    )


def _button(name: str, label: str, action: str, flags: tuple[str, ...] = ()) -> UserKnob:
    return UserKnob("PyScript_Knob", name, label, code=BUTTON.format(action), flags=flags)


def group(
    uuid: str, stack: Stack | None, folder: Path, colour: Colour, *,
    models: Sequence[str] = (DEFAULT_MODEL,), name: str = "LayerT2V1",
) -> Node:  # fmt: skip
    """A LayerT2V node, with a stack or before it has one. Raises ``BadPath``."""
    knobs: dict[str, Value] = {"tile_color": TILE_COLOUR, "knobChanged": KNOB_CHANGED}
    user = main_knobs(uuid, models)
    if stack is not None:
        user = tuple(
            replace(knob, value=folder.as_posix()) if knob.name == "folder" else knob
            for knob in user
        )
        user = (*user, *layer_knobs(stack))
    return Node("Group", name, knobs, (None, None), user, inside(stack, folder, colour))


def graph(stack: Stack, folder: Path, colour: Colour, uuid: str = "") -> Graph:
    """A stack as one LayerT2V node. Raises ``BadPath``."""
    return Graph((group(uuid, stack, folder, colour),), nuke_layers(stack))
