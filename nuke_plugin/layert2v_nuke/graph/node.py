"""The LayerT2V node as data: its knobs, its inner nodes, and the states of its request.

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
    Graph,
    Node,
    ReadColorspace,
    UserKnob,
    Value,
    inner_nodes,
    mute_knob,
    nuke_layers,
)

SCHEMA = 1
FOREGROUNDS = 3
DEFAULT_MODEL = "mini"
PROJECT_COLORSPACE = "the project's"
COLORSPACES = (PROJECT_COLORSPACE, *TITLES)
TILE_COLOR, FAILED_COLOR = 0x3A5F5FFF, 0x7A2E2EFF

# Names of the hidden knobs, as saved scripts have them.
SCHEMA_KNOB, UUID_KNOB, STATUS_KNOB = "l2v_schema", "l2v_uuid", "l2v_life"
REQUEST_KNOB, JOB_KNOB, REQUEST_JSON_KNOB = "l2v_request", "l2v_job", "l2v_asked"

# Values of STATUS_KNOB. A request in one of PENDING is resumed when the script is opened; before
# it is sent, while the server is looked for or an input is rendered, it ends with the session.
IDLE, DONE, FAILED, CANCELLED, LOST = "idle", "done", "failed", "cancelled", "lost"
CONNECTING, RENDERING, SENDING = "looking", "rendering", "sending"
PENDING = (SENDING, "waiting", "uploading", "queued", "running", "cancelling", "fetching")

HIDDEN = ("INVISIBLE",)
START_LINE = ("STARTLINE",)
_VALUE_SUFFIXES = ("_version", "_prompt", "_seed", "_strength", "_freeze", "_mute")
_LAYER_SUFFIXES = ("_tab", "_made", "_rerender", "_plate", *_VALUE_SUFFIXES)

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


def node_knobs(uuid: str, models: Sequence[str] = (DEFAULT_MODEL,)) -> tuple[UserKnob, ...]:
    """Return the knobs that every LayerT2V node has, in the order of its panel."""
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
        UserKnob("Enumeration_Knob", "colorspace", "Colour", COLORSPACES[0], items=COLORSPACES),
        UserKnob(
            "Boolean_Knob",
            "follow_project",
            "Size and range of the project",
            True,
            flags=START_LINE,
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
        _button("generate", "Generate", "generate", flags=START_LINE),
        _button("rerender", "Re-render what is not frozen", "rerender"),
        _button("cancel", "Cancel", "cancel"),
        UserKnob("Text_Knob", "status", "State", "Write a prompt and press Generate."),
        UserKnob("Text_Knob", "progress", "Progress"),
        UserKnob("Text_Knob", "preview", "Preview"),
        _button("explode", "Explode", "explode", flags=START_LINE),
        UserKnob("String_Knob", "folder", "Stack", tooltip="The folder of the layer stack"),
        *_hidden_knobs(uuid),
    )


def _hidden_knobs(uuid: str) -> tuple[UserKnob, ...]:
    """Return the knobs that resume a request: no secret, and of this machine only the folder."""
    texts = {
        UUID_KNOB: uuid, STATUS_KNOB: IDLE, REQUEST_KNOB: "", JOB_KNOB: "", REQUEST_JSON_KNOB: "",
    }  # fmt: skip
    return (
        UserKnob("Int_Knob", SCHEMA_KNOB, SCHEMA_KNOB, SCHEMA, flags=HIDDEN),
        *(UserKnob("String_Knob", k, k, value, flags=HIDDEN) for k, value in texts.items()),
    )


def layer_knobs(stack: Stack) -> tuple[UserKnob, ...]:
    """Return a tab for each layer, the topmost first, as layers are listed everywhere."""
    return tuple(knob for layer in reversed(stack.layers) for knob in _layer_tab(layer))


def layers_with_tab(knobs: Iterable[str]) -> list[str]:
    """Return the layers that have a tab, by the names of all knobs of a node."""
    names = set(knobs)
    tabs = [name[: -len("_tab")] for name in knobs if name.endswith("_tab")]
    return [name for name in tabs if f"{name}_version" in names]


def layer_knob_names(layer: str, *, values: bool = False) -> tuple[str, ...]:
    """Return the knobs on a layer's tab, the tab too; with ``values`` those that hold a value."""
    return tuple(f"{layer}{suffix}" for suffix in (_VALUE_SUFFIXES if values else _LAYER_SUFFIXES))


def holds_value(knob: UserKnob) -> bool:
    """Return whether a knob holds a value that a request may need."""
    return knob.kind not in ("Tab_Knob", "PyScript_Knob", "Text_Knob")


def shown_versions(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the versions that the node shows, by layer."""
    suffix = "_version"
    return {
        name[: -len(suffix)]: int(value) for name, value in values.items() if name.endswith(suffix)
    }


def describe_source(layer: Layer) -> str:
    """Return where the pixels of a layer's version come from."""
    return f"seed {layer.seed}" if layer.source == "generated" else layer.source


def is_plate(layer: Layer) -> bool:
    """Return whether the artist has brought the pixels: frozen until Freeze is unticked."""
    return layer.source == "plate"


def _layer_tab(layer: Layer) -> tuple[UserKnob, ...]:
    name = layer.name
    input_name = "bg" if layer.role is Role.background else "fg"
    plate = _button(f"{name}_plate", f"Use input {input_name}", f"plate {name}")
    return (
        UserKnob("Tab_Knob", f"{name}_tab", name),
        UserKnob("Int_Knob", f"{name}_version", "Version", layer.version),
        UserKnob("Text_Knob", f"{name}_made", "Made with", describe_source(layer)),
        UserKnob("String_Knob", f"{name}_prompt", "Prompt", layer.prompt),
        UserKnob("String_Knob", f"{name}_seed", "Seed", tooltip="Empty: a new one each time"),
        UserKnob("Double_Knob", f"{name}_strength", "Strength", 1.0, tooltip="1: all new"),
        UserKnob("Boolean_Knob", f"{name}_freeze", "Freeze", is_plate(layer), flags=START_LINE),
        UserKnob("Boolean_Knob", mute_knob(name), "Mute", False),
        _button(f"{name}_rerender", "Re-render", f"rerender {name}", flags=START_LINE),
        *(() if layer.role is Role.shadow else (plate,)),
    )


def _button(name: str, label: str, action: str, flags: tuple[str, ...] = ()) -> UserKnob:
    return UserKnob("PyScript_Knob", name, label, code=BUTTON.format(action), flags=flags)


def group_node(
    uuid: str, stack: Stack | None, folder: Path, colorspace: ReadColorspace, *,
    models: Sequence[str] = (DEFAULT_MODEL,), name: str = "LayerT2V1",
) -> Node:  # fmt: skip
    """Return a LayerT2V node, with a stack or before it has one. Raises ``BadPath``."""
    knobs: dict[str, Value] = {"tile_color": TILE_COLOR, "knobChanged": KNOB_CHANGED}
    user = node_knobs(uuid, models)
    if stack is not None:
        user = tuple(
            replace(knob, value=folder.as_posix()) if knob.name == "folder" else knob
            for knob in user
        )
        user = (*user, *layer_knobs(stack))
    return Node("Group", name, knobs, (None, None), user, inner_nodes(stack, folder, colorspace))


def node_graph(stack: Stack, folder: Path, colorspace: ReadColorspace, uuid: str = "") -> Graph:
    """Return a stack as one LayerT2V node. Raises ``BadPath``."""
    return Graph((group_node(uuid, stack, folder, colorspace),), nuke_layers(stack))
