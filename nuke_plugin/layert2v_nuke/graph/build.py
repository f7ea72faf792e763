"""Builds a graph with Nuke's functions: exactly its nodes, knobs and links.

The host is handed in as ``nuke``. Decides nothing; the caller holds the undo group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from layert2v_nuke.graph.colorspaces import item_value, raw_fallback
from layert2v_nuke.graph.model import CHANNELS, Expression, Graph, Matrix, Node, UserKnob, Value

# A Read takes these from its first file when its path is typed, as an artist does it.
_FROM_FILE = ("file_type", "file", "format", "first", "last", "origfirst", "origlast", "origset")
_REUSED_CLASSES = ("Input", "Output")


def build(nuke: Any, graph: Graph) -> dict[str, Any]:
    """Create the graph in the current group and return its nodes, by their names in the graph."""
    declare_layers(nuke, graph.layers)
    return create_nodes(nuke, graph.nodes, {})


def declare_layers(nuke: Any, layers: Iterable[str]) -> None:
    """Declare the layers that Nuke does not know yet."""
    for layer in layers:
        nuke.Layer(layer, [f"{layer}.{channel}" for channel in CHANNELS])


def create_nodes(nuke: Any, nodes: Iterable[Node], existing: Mapping[str, Any]) -> dict[str, Any]:
    """Create the nodes; Inputs and Outputs in ``existing`` are used again and stay connected."""
    created: dict[str, Any] = {}
    for node in nodes:
        if node.cls in _REUSED_CLASSES and node.name in existing:
            created[node.name] = existing[node.name]
            created[node.name].setXYpos(node.knobs["xpos"], node.knobs["ypos"])
        else:
            created[node.name] = _create_node(nuke, node)
        for number, source in enumerate(node.inputs):
            if source is not None:
                created[node.name].setInput(number, created[source])
    return created


def add_knobs(nuke: Any, node: Any, knobs: Iterable[UserKnob]) -> None:
    """Add user knobs to a node."""
    for knob in knobs:
        node.addKnob(_user_knob(nuke, knob))


def _create_node(nuke: Any, node: Node) -> Any:
    created = getattr(nuke.nodes, node.cls)()
    created.setName(node.name)
    if node.cls == "Read":
        knobs = node.knobs
        created["file"].fromUserText(f"{knobs['file']} {knobs['first']}-{knobs['last']}")
    for name, value in node.knobs.items():
        if node.cls != "Read" or name not in _FROM_FILE:
            set_value(created[name], value)
    if node.cls == "Read":
        _verify_colorspace(created, str(node.knobs.get("colorspace", "")))
    add_knobs(nuke, created, node.user_knobs)
    if node.nodes:
        with created:
            create_nodes(nuke, node.nodes, {})
    return created


def _verify_colorspace(read: Any, wanted: str) -> None:
    """Read the color space back: where Nuke did not take it, set raw, and say so in the label."""
    if wanted and item_value(read["colorspace"].value()) != wanted:
        read["raw"].setValue(True)
        read["label"].setValue(raw_fallback(wanted).note)


def set_value(knob: Any, value: Value) -> None:
    """Set a knob to a value, number by number where it holds several, or to an expression."""
    if isinstance(value, Expression):
        knob.setExpression(value.text)
    elif isinstance(value, Matrix):
        knob.setValue([number for row in value.rows for number in row])
    elif isinstance(value, tuple):
        for index, number in enumerate(value):
            knob.setValue(number, index)
    else:
        knob.setValue(value)


def _user_knob(nuke: Any, knob: UserKnob) -> Any:
    construct = getattr(nuke, knob.kind)
    if knob.kind == "Enumeration_Knob":
        created = construct(knob.name, knob.label, list(knob.items))
        created.setValue(knob.value)
    elif knob.kind == "PyScript_Knob":
        created = construct(knob.name, knob.label, knob.code)
    elif knob.kind == "Text_Knob":
        created = construct(knob.name, knob.label, knob.value)
    else:
        created = construct(knob.name, knob.label)
        if knob.kind != "Tab_Knob":
            set_value(created, knob.value)
    for flag in knob.flags:
        created.setFlag(getattr(nuke, flag))
    if knob.tooltip:
        created.setTooltip(knob.tooltip)
    return created
