"""A graph as a ``.nk`` file, and the command line that writes one from a stack folder.

``python -m layert2v_nuke.graph.script STACK --out shot.nk`` needs no Nuke. A script pops inputs
from a stack of nodes whose top is input 0, so inputs are pushed from the last to the first.

Without Nuke nobody knows the names of its colour spaces. Without ``--colorspace`` the Reads are
raw, which is right where the project works in the space of the stack, and their labels say so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from layert2v import stack as manifest
from layert2v.errors import ManifestError
from layert2v.stack import Stack
from layert2v_nuke.errors import PluginError
from layert2v_nuke.graph import node, tcl
from layert2v_nuke.graph.colorspaces import unconverted
from layert2v_nuke.graph.model import (
    CHANNELS,
    Colour,
    Expression,
    Graph,
    Node,
    UserKnob,
    Value,
    open_comp,
)

OLDEST_NUKE = "14.0 v1"  # a script that is newer than its reader makes Nuke warn
KINDS = {
    "String_Knob": 1, "File_Knob": 2, "Int_Knob": 3, "Enumeration_Knob": 4, "Boolean_Knob": 6,
    "Double_Knob": 7, "Tab_Knob": 20, "PyScript_Knob": 22, "Text_Knob": 26,
}  # fmt: skip


def script(graph: Graph, root: Node | None = None) -> str:
    """The graph as the text of a script; with ``root``, as a whole project."""
    lines = ["#! LayerT2V", f"version {OLDEST_NUKE}"]
    if root is not None:
        lines += _block(root, 0)
    for layer in graph.layers:
        lines.append(f"add_layer {{{layer} {' '.join(f'{layer}.{c}' for c in CHANNELS)}}}")
    lines += _nodes(graph.nodes, 0)
    return "\n".join(lines) + "\n"


def project(stack: Stack) -> Node:
    """The Root of a script of its own: range, rate and format, and nothing about colour."""
    last = stack.start_frame + stack.frames - 1
    knobs: dict[str, Value] = {
        "first_frame": stack.start_frame, "last_frame": last, "frame": stack.start_frame,
        "fps": stack.fps,
        "format": f"{stack.width} {stack.height} 0 0 {stack.width} {stack.height} "
        f"{stack.pixel_aspect:g} LayerT2V_{stack.width}x{stack.height}",
    }  # fmt: skip
    return Node("Root", "", knobs)


def write(text: str, path: Path) -> None:
    """Write the script so that it appears whole or not at all. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def _nodes(nodes: Sequence[Node], depth: int) -> Iterator[str]:
    pad = " " * depth
    variables = {one.name: f"N{depth}_{index}" for index, one in enumerate(nodes)}
    for one in nodes:
        for name in reversed(one.inputs):
            yield f"{pad}push {0 if name is None else '$' + variables[name]}"
        yield from _block(one, depth)
        if one.nodes:
            yield from _nodes(one.nodes, depth + 1)
        if one.cls == "Group":
            yield f"{pad}end_group"
        yield f"{pad}set {variables[one.name]} [stack 0]"


def _block(one: Node, depth: int) -> Iterator[str]:
    pad = " " * depth
    yield f"{pad}{one.cls} {{"
    if len(one.inputs) != 1:
        yield f"{pad} inputs {len(one.inputs)}"
    for name, value in one.knobs.items():
        yield f"{pad} {name} {f'0x{value:08x}' if name == 'tile_color' else _value(value)}"
    if one.name:
        yield f"{pad} name {one.name}"
    for knob in one.user_knobs:
        yield f"{pad} addUserKnob {{{_definition(knob)}}}"
        if not knob.code and knob.kind not in ("Tab_Knob", "Text_Knob") and knob.value != "":
            yield f"{pad} {knob.name} {_value(knob.value)}"
    yield f"{pad}}}"


def _definition(knob: UserKnob) -> str:
    parts = [str(KINDS[knob.kind]), knob.name]
    parts += ["l", tcl.word(knob.label)] if knob.label else []
    parts += ["t", tcl.word(knob.tooltip)] if knob.tooltip else []
    parts += [f"+{flag}" for flag in knob.flags]
    if knob.kind == "Enumeration_Knob":
        parts += ["M", "{" + " ".join(tcl.word(item) for item in knob.items) + "}"]
    if knob.kind == "PyScript_Knob":
        parts += ["T", tcl.word(knob.code)]
    if knob.kind == "Text_Knob":
        parts += ["T", tcl.word(str(knob.value))]
    return " ".join(parts)


def _value(value: Value) -> str:
    if isinstance(value, Expression):
        return f"{{{{{value.text}}}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    return tcl.word(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when the script is written, 1 with one sentence when it cannot be."""
    parser = argparse.ArgumentParser(
        "layert2v_nuke.graph.script", description=__doc__.split("\n")[0]
    )
    parser.add_argument("stack", type=Path, help="folder of a finished layer stack")
    parser.add_argument("--out", type=Path, required=True, help="the script to write")
    parser.add_argument("--colorspace", default="", help="the Reads' colour space by Nuke's name")
    parser.add_argument("--node", action="store_true", help="one LayerT2V node, not open nodes")
    parser.add_argument("--nodes-only", action="store_true", help="no Root: to paste or insert")
    chosen = parser.parse_args(arguments)
    try:
        folder = chosen.stack.resolve()
        stack = manifest.read(folder)
        named = Colour(chosen.colorspace) if chosen.colorspace else None
        colour = named or unconverted(stack.colorspace)
        if chosen.node:
            graph = node.graph(stack, folder, colour)
        else:
            graph = open_comp(stack, folder, colour)
        write(script(graph, None if chosen.nodes_only else project(stack)), chosen.out)
    except (PluginError, ManifestError) as problem:
        print(
            f"layert2v_nuke.graph.script: {problem.message} {problem.hint}".strip(), file=sys.stderr
        )
        return 1
    except OSError as problem:
        print(f"layert2v_nuke.graph.script: {chosen.out}: {problem.strerror}.", file=sys.stderr)
        return 1
    print(f"{chosen.out}: {len(stack.layers)} layers, {stack.frames} frames")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
