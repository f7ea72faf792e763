"""The LayerT2V node as data: its knobs, its inner nodes, and the states of its request.

Knows no host: a node is a mapping from knob names to values. Text of the artist lives in
``String_Knob`` alone, which Nuke keeps as it is; other text knobs of Nuke run what is in brackets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from layert2v.labels import LABELS
from layert2v.plain_text import plain_text
from layert2v.priorities import DEFAULT_PRIORITY, PRIORITIES
from layert2v.spec import COMPRESSIONS
from layert2v.stack import Layer, Role, Stack
from layert2v_nuke.graph import tcl
from layert2v_nuke.graph.colorspaces import TITLES
from layert2v_nuke.graph.footage_knobs import CHANNELS, footage_tab, holds_subject_value
from layert2v_nuke.graph.knobs import (
    HIDDEN,
    KNOB_CHANGED,
    START_LINE,
    button,
    field_knob,
    middle_box,
    point_knob_names,
    point_knobs,
    points_off,
)
from layert2v_nuke.graph.model import (
    INPUTS,
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
OWN_VALUES = "the values below"
PRESETS = (OWN_VALUES, "preview", "standard", "final")
TILE_COLOR, FAILED_COLOR = 0x3A5F5FFF, 0x7A2E2EFF

# Names of the hidden knobs, as saved scripts have them.
SCHEMA_KNOB, UUID_KNOB, STATUS_KNOB = "l2v_schema", "l2v_uuid", "l2v_life"
REQUEST_KNOB, JOB_KNOB, REQUEST_JSON_KNOB = "l2v_request", "l2v_job", "l2v_asked"

# Values of STATUS_KNOB. A request in one of PENDING is resumed when the script is opened; before
# it is sent, while the server is looked for or an input is rendered, it ends with the session.
IDLE, DONE, FAILED, CANCELLED, LOST = "idle", "done", "failed", "cancelled", "lost"
CONNECTING, RENDERING, SENDING = "looking", "rendering", "sending"
PENDING = (SENDING, "waiting", "uploading", "queued", "running", "cancelling", "fetching")

_VALUE_SUFFIXES = (
    "_version", "_prompt", "_seed", "_strength", "_freeze", "_mute", "_matte",
    *point_knob_names(""),
)  # fmt: skip
_LAYER_SUFFIXES = (
    "_tab", "_made", "_rerender", "_plate", "_refine", "_refine_points", *_VALUE_SUFFIXES,
)  # fmt: skip

# The labels of the node's knobs, by the fields of the table that all hosts share.
FIELDS = {
    "prompt": "prompt", "background": "background_prompt", "foreground": "foreground_prompt",
    "place": "placement",
    "negative": "negative_prompt", "nearest": "nearest", "model": "model",
    "preset": "preset", "priority": "priority", "account": "account",
    "colorspace": "colorspace", "compression": "compression",
    "width": "width", "height": "height", "frames": "frames", "start": "start_frame", "fps": "fps",
    "size_note": "output_size", "seed": "seed", "steps": "steps", "guidance": "guidance",
    "generate": "generate", "match_lighting": "match_lighting",
    "cancel": "cancel", "status": "status", "progress": "progress",
    "folder": "folder",
}  # fmt: skip
# The same for the tab of a layer, by the end of the knob's name.
LAYER_FIELDS = {
    "_version": "version", "_prompt": "layer_prompt", "_seed": "seed", "_strength": "strength",
    "_freeze": "frozen", "_rerender": "rerender",
}  # fmt: skip


def node_knobs(uuid: str, models: Sequence[str] = (DEFAULT_MODEL,)) -> tuple[UserKnob, ...]:
    """Return the knobs that every LayerT2V node has, in the order of its panel."""
    return (
        UserKnob("Tab_Knob", "layert2v", "LayerT2V"),
        *_prompt_knobs(),
        _knob("Enumeration_Knob", "model", models[0], items=tuple(models)),
        _knob("Enumeration_Knob", "colorspace", COLORSPACES[0], items=COLORSPACES),
        _knob("Enumeration_Knob", "compression", COMPRESSIONS[0], items=COMPRESSIONS),
        _knob(
            "Enumeration_Knob",
            "preset",
            OWN_VALUES,
            note="values that are not 0 or -1 count before it",
            items=PRESETS,
        ),
        UserKnob(
            "Boolean_Knob",
            "follow_project",
            "Size and range of the project",
            True,
            flags=START_LINE,
        ),
        _knob("Int_Knob", "width", 0),
        _knob("Int_Knob", "height", 0),
        _knob("Int_Knob", "frames", 0),
        _knob("Int_Knob", "start", 1001),
        _knob("Double_Knob", "fps", 24.0),
        _knob("Text_Knob", "size_note"),
        _knob("String_Knob", "seed"),
        button("reroll", "Re-roll", "reroll"),
        _knob("Int_Knob", "steps", 0, note="0 for the model's default"),
        _knob("Double_Knob", "guidance", -1.0, note="-1 for the model's default"),
        _knob("Enumeration_Knob", "priority", DEFAULT_PRIORITY, items=PRIORITIES),
        button("generate", _label("generate"), "generate", flags=START_LINE),
        button("rerender", "Re-render what is not frozen", "rerender"),
        button("match_lighting", _label("match_lighting"), "match_lighting"),
        button("cancel", _label("cancel"), "cancel"),
        _knob("Text_Knob", "status", "Write a prompt and press Generate."),
        _knob("Text_Knob", "progress"),
        _knob("Text_Knob", "account"),
        UserKnob("Text_Knob", "preview", "Preview"),
        button("explode", "Explode", "explode", flags=START_LINE),
        _knob("String_Knob", "folder", note="The folder of the layer stack"),
        *_hidden_knobs(uuid),
        *footage_tab(),
    )


def _prompt_knobs() -> tuple[UserKnob, ...]:
    foreground, place = LABELS[FIELDS["foreground"]], LABELS[FIELDS["place"]]
    return (
        _knob("String_Knob", "prompt"),
        _knob("String_Knob", "background"),
        *(
            knob
            for number in range(1, FOREGROUNDS + 1)
            for knob in (
                UserKnob(
                    "String_Knob",
                    f"foreground_{number}",
                    f"{foreground.text} {number}",
                    tooltip=f"{foreground.tooltip}; may be empty",
                ),
                UserKnob(
                    "String_Knob",
                    f"place_{number}",
                    f"{place.text} {number}",
                    tooltip=place.tooltip,
                ),
                button(
                    f"draw_place_{number}",
                    "Draw",
                    f"draw_place {number}",
                    tooltip="A handle in the viewer, on the tab Places",
                ),
            )
        ),
        _knob("String_Knob", "negative"),
        replace(_knob("Boolean_Knob", "nearest", False), flags=START_LINE),
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
    has_ref = any(flat.name == "ref" for flat in stack.flats)
    return tuple(
        knob
        for layer in reversed(stack.layers)
        for knob in (*_layer_tab(layer), *(_refine_knobs(layer, stack) if has_ref else ()))
    )


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


def footage_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values of a node that a node for other frames of its footage has, too."""
    names = {knob.name for knob in footage_tab() if holds_value(knob)}
    shared = ("model", "compression", "colorspace", "priority")
    return {
        name: value
        for name, value in values.items()
        if name in names or name in shared or holds_subject_value(name)
    }


def shown_versions(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the versions that the node shows, by layer."""
    suffix = "_version"
    return {
        name[: -len(suffix)]: int(value) for name, value in values.items() if name.endswith(suffix)
    }


def describe_source(layer: Layer) -> str:
    """Return where the pixels of a layer's version come from."""
    return f"seed {layer.seed}" if layer.source == "generated" else layer.source


def shown_prompt(layer: Layer) -> str:
    """Return the prompt as a knob shows it: somebody else may have written it."""
    return plain_text(tcl.strip_controls(layer.prompt))


def is_plate(layer: Layer) -> bool:
    """Return whether the artist has brought the pixels: frozen until Freeze is unticked."""
    return layer.source == "plate"


def new_version_values(layer: Layer, knobs: Collection[str]) -> dict[str, Value]:
    """Return what to set where a new version of a layer arrives, of the knobs that a node has.

    A plate is frozen. Points go off, since what they said is in the version now.
    """
    off = points_off(layer.name)  # of foregrounds, but not in nodes of before
    values: dict[str, Value] = {name: value for name, value in off.items() if name in knobs}
    return {**values, f"{layer.name}_freeze": True} if is_plate(layer) else values


def _layer_tab(layer: Layer) -> tuple[UserKnob, ...]:
    name = layer.name
    input_name = "bg" if layer.role is Role.background else "fg"
    plate = button(f"{name}_plate", f"Use input {input_name}", f"plate {name}")
    return (
        UserKnob("Tab_Knob", f"{name}_tab", name),
        _layer_knob("Int_Knob", name, "_version", layer.version),
        UserKnob("Text_Knob", f"{name}_made", "Source", describe_source(layer)),
        _layer_knob("String_Knob", name, "_prompt", shown_prompt(layer)),
        _layer_knob("String_Knob", name, "_seed"),
        _layer_knob("Double_Knob", name, "_strength", 1.0),
        _layer_knob("Boolean_Knob", name, "_freeze", is_plate(layer), flags=START_LINE),
        UserKnob("Boolean_Knob", mute_knob(name), "Mute", False),
        button(
            f"{name}_rerender",
            LABELS[LAYER_FIELDS["_rerender"]].text,
            f"rerender {name}",
            flags=START_LINE,
        ),
        *(() if layer.role is Role.shadow else (plate,)),
    )


def _refine_knobs(layer: Layer, stack: Stack) -> tuple[UserKnob, ...]:
    """Return the knobs that give a foreground another matte, for which its ``ref`` is needed."""
    if layer.role is not Role.foreground:
        return ()
    handles = middle_box(stack.width, stack.height)
    where = "Where this foreground lacks something (on the subject), or has too much (beside it)"
    return (
        *point_knobs(layer.name, handles, stack.start_frame, where),
        UserKnob(
            "Enumeration_Knob",
            f"{layer.name}_matte",
            "Matte",
            CHANNELS[0],
            items=CHANNELS,
            tooltip="The channel of input matte that is white where this foreground is",
        ),
        button(
            f"{layer.name}_refine",
            "Refine with input matte",
            f"refine {layer.name}",
            flags=START_LINE,
            tooltip="Solve this foreground, its shadow and what is under them again",
        ),
        button(
            f"{layer.name}_refine_points",
            "Refine with points",
            f"refine_points {layer.name}",
            tooltip="The same with its own matte, corrected around the points that are not off",
        ),
    )


def _label(knob: str) -> str:
    return LABELS[FIELDS[knob]].text


def _knob(
    kind: str, name: str, value: Value = "", *, note: str = "", items: tuple[str, ...] = ()
) -> UserKnob:
    return field_knob(kind, name, FIELDS[name], value, note=note, items=items)


def _layer_knob(
    kind: str, layer: str, suffix: str, value: Value = "", flags: tuple[str, ...] = ()
) -> UserKnob:
    return field_knob(kind, layer + suffix, LAYER_FIELDS[suffix], value, flags=flags)


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
    inputs = (None,) * len(INPUTS)
    return Node("Group", name, knobs, inputs, user, inner_nodes(stack, folder, colorspace))


def node_graph(stack: Stack, folder: Path, colorspace: ReadColorspace, uuid: str = "") -> Graph:
    """Return a stack as one LayerT2V node. Raises ``BadPath``."""
    return Graph((group_node(uuid, stack, folder, colorspace),), nuke_layers(stack))
