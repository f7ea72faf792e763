"""A graph as the text of a ``.nk`` file.

A script pops a node's inputs from a stack of nodes whose top is input 0, so inputs are pushed from
the last to the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from layert2v.stack import Stack
from layert2v_nuke.graph import tcl
from layert2v_nuke.graph.model import (
    CHANNELS,
    Expression,
    Graph,
    Matrix,
    Node,
    UserKnob,
    Value,
)

OLDEST_NUKE = "14.0 v1"  # a script that is newer than its reader makes Nuke warn
KNOB_TYPE_IDS = {
    "String_Knob": 1, "File_Knob": 2, "Int_Knob": 3, "Enumeration_Knob": 4, "Boolean_Knob": 6,
    "Double_Knob": 7, "XY_Knob": 12, "BBox_Knob": 15,
    "Tab_Knob": 20, "PyScript_Knob": 22, "Text_Knob": 26,
}  # fmt: skip


def to_script(graph: Graph, root: Node | None = None) -> str:
    """Return the graph as a script; with ``root``, as a whole project."""
    lines = ["#! LayerT2V", f"version {OLDEST_NUKE}"]
    if root is not None:
        lines += _block_lines(root, 0)
    for layer in graph.layers:
        lines.append(f"add_layer {{{layer} {' '.join(f'{layer}.{c}' for c in CHANNELS)}}}")
    lines += _node_lines(graph.nodes, 0)
    return "\n".join(lines) + "\n"


def root_node(stack: Stack) -> Node:
    """Return the Root of a project: range, rate and format, and nothing about color."""
    last = stack.start_frame + stack.frames - 1
    knobs: dict[str, Value] = {
        "first_frame": stack.start_frame, "last_frame": last, "frame": stack.start_frame,
        "fps": stack.fps,
        "format": f"{stack.width} {stack.height} 0 0 {stack.width} {stack.height} "
        f"{stack.pixel_aspect:g} LayerT2V_{stack.width}x{stack.height}",
    }  # fmt: skip
    return Node("Root", "", knobs)


def _node_lines(nodes: Sequence[Node], depth: int) -> Iterator[str]:
    pad = " " * depth
    variables = {node.name: f"N{depth}_{index}" for index, node in enumerate(nodes)}
    for node in nodes:
        for name in reversed(node.inputs):
            yield f"{pad}push {0 if name is None else '$' + variables[name]}"
        yield from _block_lines(node, depth)
        if node.nodes:
            yield from _node_lines(node.nodes, depth + 1)
        if node.cls == "Group":
            yield f"{pad}end_group"
        yield f"{pad}set {variables[node.name]} [stack 0]"


def _block_lines(node: Node, depth: int) -> Iterator[str]:
    pad = " " * depth
    yield f"{pad}{node.cls} {{"
    if len(node.inputs) != 1:
        yield f"{pad} inputs {len(node.inputs)}"
    for name, value in node.knobs.items():
        yield f"{pad} {name} {f'0x{value:08x}' if name == 'tile_color' else _value_text(value)}"
    if node.name:
        yield f"{pad} name {node.name}"
    for knob in node.user_knobs:
        yield f"{pad} addUserKnob {{{_knob_definition(knob)}}}"
        if not knob.code and knob.kind not in ("Tab_Knob", "Text_Knob") and knob.value != "":
            yield f"{pad} {knob.name} {_value_text(knob.value)}"
    yield f"{pad}}}"


def _knob_definition(knob: UserKnob) -> str:
    parts = [str(KNOB_TYPE_IDS[knob.kind]), knob.name]
    parts += ["l", tcl.quote(knob.label)] if knob.label else []
    parts += ["t", tcl.quote(knob.tooltip)] if knob.tooltip else []
    parts += [f"+{flag}" for flag in knob.flags]
    if knob.kind == "Enumeration_Knob":
        parts += ["M", "{" + " ".join(tcl.quote(item) for item in knob.items) + "}"]
    if knob.kind == "PyScript_Knob":
        parts += ["T", tcl.quote(knob.code)]
    if knob.kind == "Text_Knob":
        parts += ["T", tcl.quote(str(knob.value))]
    return " ".join(parts)


def _value_text(value: Value) -> str:
    if isinstance(value, Expression):
        return f"{{{{{value.text}}}}}"
    if isinstance(value, Matrix):
        return "{" + " ".join(_value_text(row) for row in value.rows) + "}"
    if isinstance(value, tuple):
        return "{" + " ".join(f"{number:.10g}" for number in value) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    return tcl.quote(value)
