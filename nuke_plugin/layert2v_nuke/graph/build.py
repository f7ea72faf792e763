"""A graph made with Nuke's functions: exactly the nodes, knobs and links that it says.

The host is handed in as ``nuke``. Decides nothing; whoever calls holds the undo group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from layert2v_nuke.graph.colorspaces import offered_name, raw
from layert2v_nuke.graph.model import CHANNELS, Expression, Graph, Node, UserKnob, Value

# A Read takes these from its first file when its path is typed, as an artist does it.
_FROM_FILE = ("file_type", "file", "format", "first", "last", "origfirst", "origlast", "origset")
_KEPT = ("Input", "Output")


def build(nuke: Any, graph: Graph) -> dict[str, Any]:
    """Make the graph in the current group; the nodes by the names that the graph has for them."""
    declare(nuke, graph.layers)
    return fill(nuke, graph.nodes, {})


def declare(nuke: Any, layers: Iterable[str]) -> None:
    """Make Nuke know the layers; those it knows stay."""
    for layer in layers:
        nuke.Layer(layer, [f"{layer}.{channel}" for channel in CHANNELS])


def fill(nuke: Any, nodes: Iterable[Node], there: Mapping[str, Any]) -> dict[str, Any]:
    """Make the nodes, but take those of ``there`` for inputs and outputs that stay connected."""
    made: dict[str, Any] = {}
    for node in nodes:
        if node.cls in _KEPT and node.name in there:
            made[node.name] = there[node.name]
            made[node.name].setXYpos(node.knobs["xpos"], node.knobs["ypos"])
        else:
            made[node.name] = _make(nuke, node)
        for number, source in enumerate(node.inputs):
            if source is not None:
                made[node.name].setInput(number, made[source])
    return made


def add_knobs(nuke: Any, made: Any, knobs: Iterable[UserKnob]) -> None:
    """Add user knobs to a node."""
    for knob in knobs:
        made.addKnob(_user_knob(nuke, knob))


def _make(nuke: Any, node: Node) -> Any:
    made = getattr(nuke.nodes, node.cls)()
    made.setName(node.name)
    if node.cls == "Read":
        knobs = node.knobs
        made["file"].fromUserText(f"{knobs['file']} {knobs['first']}-{knobs['last']}")
    for name, value in node.knobs.items():
        if node.cls != "Read" or name not in _FROM_FILE:
            _set(made[name], value)
    if node.cls == "Read":
        _keep_colour(made, str(node.knobs.get("colorspace", "")))
    add_knobs(nuke, made, node.user_knobs)
    if node.nodes:
        with made:
            fill(nuke, node.nodes, {})
    return made


def _keep_colour(read: Any, wanted: str) -> None:
    """Read the colour space back: where Nuke did not take it, raw is right and says so."""
    if wanted and offered_name(read["colorspace"].value()) != wanted:
        read["raw"].setValue(True)
        read["label"].setValue(raw(wanted).note)


def _set(knob: Any, value: Value) -> None:
    if isinstance(value, Expression):
        knob.setExpression(value.text)
    else:
        knob.setValue(value)


def _user_knob(nuke: Any, knob: UserKnob) -> Any:
    construct = getattr(nuke, knob.kind)
    if knob.kind == "Enumeration_Knob":
        made = construct(knob.name, knob.label, list(knob.items))
        made.setValue(knob.value)
    elif knob.kind == "PyScript_Knob":
        made = construct(knob.name, knob.label, knob.code)
    elif knob.kind == "Text_Knob":
        made = construct(knob.name, knob.label, knob.value)
    else:
        made = construct(knob.name, knob.label)
        if knob.kind != "Tab_Knob":
            made.setValue(knob.value)
    for flag in knob.flags:
        made.setFlag(getattr(nuke, flag))
    if knob.tooltip:
        made.setTooltip(knob.tooltip)
    return made
