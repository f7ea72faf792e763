"""A node graph as data, and the nodes that a layer stack becomes.

The same ``Graph`` is written as text by ``script`` and built with Nuke's functions by ``build``;
neither decides anything about it. Knows node classes, knobs and positions, not a host.

Layers are merged with ``over`` from bottom to top. A shadow is black with its opacity as alpha, so
``over`` darkens what is below and leaves a valid coverage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

from layert2v.stack import Layer, Role, Stack
from layert2v_nuke.graph import tcl


@dataclass(frozen=True)
class Expression:
    """A knob value that Nuke computes, such as ``parent.bg_mute``."""

    text: str


@dataclass(frozen=True)
class Matrix:
    """A knob value of 3 x 3 numbers, by rows."""

    rows: tuple[tuple[float, ...], ...]


Value = Union[str, int, float, bool, Expression, Matrix, tuple[float, ...]]


@dataclass(frozen=True)
class UserKnob:
    """A knob added to a node. ``kind`` is its constructor's name, such as ``String_Knob``.

    ``flags`` are names of Nuke's constants. ``items`` belong to enumerations, ``code`` to buttons.
    """

    kind: str
    name: str
    label: str = ""
    value: Value = ""
    items: tuple[str, ...] = ()
    code: str = ""
    tooltip: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """One node. ``inputs`` are names of nodes in the same graph, by input number; None is open."""

    cls: str
    name: str
    knobs: Mapping[str, Value] = field(default_factory=dict)
    inputs: tuple[str | None, ...] = ()
    user_knobs: tuple[UserKnob, ...] = ()
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Nodes, each after its inputs, and the Nuke layers that have to exist for them."""

    nodes: tuple[Node, ...]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadColorspace:
    """The color space of a Read: a name that the host offers, or "" for raw; and a note why.

    ``matrix`` converts what a raw Read gives to the project's working space, in a node below it.
    """

    name: str = ""
    note: str = ""
    matrix: tuple[tuple[float, ...], ...] = ()


# Of a LayerT2V node, by number: plates for the background and for a foreground, footage, a matte.
INPUTS = ("bg", "fg", "footage", "matte")
CHANNELS = ("red", "green", "blue", "alpha")
# Layer names that mean something to Nuke, or vanish in it.
RESERVED = frozenset(
    [
        "rgb", "rgba", "alpha", "depth", "motion", "forward", "backward", "mask", "rotopaint_mask",
        "main", "left", "right", "other", "ci", "disparity", "disparityl", "disparityr",
    ]
)  # fmt: skip
# Node sizes in Nuke's pixels; positions are top left corners, and unknown without an interface.
COLUMN, ROW, TILE_WIDTH, DOT_WIDTH, MERGE_HEIGHT = 150, 60, 80, 12, 18
READ_HEIGHT = 90
ROLE_COLORS = {Role.background: 0x4A6B8CFF, Role.foreground: 0x8C6B3AFF, Role.shadow: 0x4D4D4DFF}
# Knobs of an open Read: uuid of the LayerT2V node that it follows, and its layer.
OWNER_KNOB, LAYER_KNOB = "l2v_owner", "l2v_layer"


def nuke_layer(name: str) -> str:
    """Return the name of the Nuke layer for a layer of the stack."""
    return f"{name}_layer" if name in RESERVED else name


def read_path(folder: Path, pattern: str) -> str:
    """Return a Read's ``file`` for a pattern of the manifest. Raises ``BadPath``."""
    stem, _, rest = pattern.partition("#")
    width = len(rest) - len(rest.lstrip("#")) + 1
    return f"{tcl.safe_path(folder)}/{stem}%0{width}d{rest.lstrip('#')}"


def read_name(layer: str) -> str:
    """Return the name of the Read of a layer."""
    return f"Read_{layer}"


def inner_nodes(stack: Stack | None, folder: Path, colorspace: ReadColorspace) -> tuple[Node, ...]:
    """Return the nodes in a LayerT2V node: the comp in rgba and every layer as a Nuke layer.

    Its inputs are ``INPUTS``. Without a stack, the footage passes through, so that boxes and points
    can be drawn over it. Raises ``BadPath``.
    """
    inputs = tuple(
        Node("Input", name, {"number": number, "xpos": (number - len(INPUTS)) * COLUMN, "ypos": 0})
        for number, name in enumerate(INPUTS)
    )
    if stack is None:
        at = {"xpos": (INPUTS.index("footage") - len(INPUTS)) * COLUMN, "ypos": ROW}
        return (*inputs, Node("Output", "Output1", at, ("footage",)))
    reads = [
        read_node(stack, layer, folder, colorspace, (column * COLUMN, 0))
        for column, layer in enumerate(stack.layers)
    ]
    level = READ_HEIGHT + ROW
    converted = [
        convert_node(layer, colorspace, (column * COLUMN, level))
        for column, layer in enumerate(stack.layers)
        if colorspace.matrix
    ]
    level += ROW if converted else 0
    merges = _merge_nodes(stack, colorspace, level)
    level += len(merges) * ROW
    copies = _copy_nodes(stack, colorspace, merges[-1].name, level)
    level += len(copies) * ROW
    output = Node("Output", "Output1", {"xpos": 0, "ypos": level}, (copies[-1].name,))
    return (*inputs, *reads, *converted, *merges, *copies, output)


def mute_knob(layer: str) -> str:
    """Return the name of the knob that leaves a layer out of the comp."""
    return f"{layer}_mute"


def source_name(layer: Layer, colorspace: ReadColorspace) -> str:
    """Return the name of the node that gives a layer in the working space."""
    return f"Convert_{layer.name}" if colorspace.matrix else read_name(layer.name)


def convert_node(layer: Layer, colorspace: ReadColorspace, position: tuple[int, int]) -> Node:
    """Return the node that converts a raw Read: a matrix, right on premultiplied color too."""
    knobs: dict[str, Value] = {
        "matrix": Matrix(colorspace.matrix),
        "label": tcl.safe_label(colorspace.note),
        "xpos": position[0],
        "ypos": position[1],
    }
    return Node("ColorMatrix", f"Convert_{layer.name}", knobs, (read_name(layer.name),))


def black_node(layer: Layer, colorspace: ReadColorspace, knobs: Mapping[str, Value]) -> Node:
    """Return the node that blackens the lowest layer: nothing is below it to show instead."""
    values: dict[str, Value] = {"channels": "rgba", "value": 0.0, **knobs}
    return Node("Multiply", f"Mute_{layer.name}", values, (source_name(layer, colorspace),))


def _merge_nodes(stack: Stack, colorspace: ReadColorspace, level: int) -> list[Node]:
    bottom = stack.layers[0]
    unless = Expression(f"1-({_mute_expression(bottom)})")
    merges = [black_node(bottom, colorspace, {"disable": unless, "xpos": 0, "ypos": level})]
    for layer in stack.layers[1:]:
        level += ROW
        disable = Expression(_mute_expression(layer))
        knobs: dict[str, Value] = {"bbox": "B", "disable": disable, "xpos": 0, "ypos": level}
        inputs = (merges[-1].name, source_name(layer, colorspace))
        merges.append(Node("Merge2", f"Merge_{layer.name}", knobs, inputs))
    return merges


def _mute_expression(layer: Layer) -> str:
    """Return the condition under which a layer is muted: a shadow is muted with its caster."""
    own = f"parent.{mute_knob(layer.name)}"
    return f"{own}||parent.{mute_knob(layer.caster)}" if layer.caster else own


def _copy_nodes(stack: Stack, colorspace: ReadColorspace, comp: str, level: int) -> list[Node]:
    copies: list[Node] = []
    for row, layer in enumerate(stack.layers):
        knobs: dict[str, Value] = {}
        for index, channel in enumerate(CHANNELS):
            knobs[f"from{index}"] = f"rgba.{channel}"
            knobs[f"to{index}"] = f"{nuke_layer(layer.name)}.{channel}"
        knobs.update({"xpos": 0, "ypos": level + row * ROW})
        inputs = (copies[-1].name if copies else comp, source_name(layer, colorspace))
        copies.append(Node("Copy", f"Copy_{layer.name}", knobs, inputs))
    return copies


def read_node(
    stack: Stack,
    layer: Layer,
    folder: Path,
    colorspace: ReadColorspace,
    position: tuple[int, int],
    *,
    owner: str = "",
) -> Node:
    """Return the Read of a layer; ``owner`` is the LayerT2V node it follows. Raises ``BadPath``."""
    first, last = stack.start_frame, stack.start_frame + stack.frames - 1
    knobs: dict[str, Value] = {
        "file_type": "exr",
        "file": read_path(folder, layer.pattern),
        "format": format_text(stack.width, stack.height, stack.pixel_aspect),
        "first": first, "last": last, "origfirst": first, "origlast": last, "origset": True,
        **({"colorspace": colorspace.name} if colorspace.name else {"raw": True}),
        **({"label": tcl.safe_label(colorspace.note)} if colorspace.note else {}),
        "tile_color": ROLE_COLORS[layer.role], "xpos": position[0], "ypos": position[1],
    }  # fmt: skip
    return Node("Read", read_name(layer.name), knobs, user_knobs=owner_knobs(owner, layer.name))


def owner_knobs(owner: str, layer: str) -> tuple[UserKnob, ...]:
    """Return the hidden knobs of a Read that follows a LayerT2V node."""
    if not owner:
        return ()
    return (
        UserKnob("Tab_Knob", "layert2v", "LayerT2V", flags=("INVISIBLE",)),
        UserKnob("String_Knob", OWNER_KNOB, OWNER_KNOB, owner, flags=("INVISIBLE",)),
        UserKnob("String_Knob", LAYER_KNOB, LAYER_KNOB, layer, flags=("INVISIBLE",)),
    )


def format_text(width: int, height: int, pixel_aspect: float) -> str:
    """Return a format as Nuke's scripts write it, without a name."""
    return f"{width} {height} 0 0 {width} {height} {pixel_aspect:g} "


def nuke_layers(stack: Stack) -> tuple[str, ...]:
    """Return the Nuke layers of a stack, bottom to top."""
    return tuple(nuke_layer(layer.name) for layer in stack.layers)
