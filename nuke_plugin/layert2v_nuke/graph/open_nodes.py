"""A stack as open nodes: what *Explode* builds, and what is written as a script.

Foregrounds of footage get their matte group, since a matte that was found is refined by hand.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from layert2v.stack import Layer, Role, Stack
from layert2v_nuke.graph import tcl
from layert2v_nuke.graph.matte import matte_group
from layert2v_nuke.graph.model import (
    COLUMN,
    DOT_WIDTH,
    MERGE_HEIGHT,
    READ_HEIGHT,
    ROW,
    TILE_WIDTH,
    Graph,
    Node,
    ReadColorspace,
    Value,
    black_node,
    convert_node,
    read_node,
)

MARGIN, HEADER = 40, 60
BACKDROP_COLOR = 0x33383DFF


def open_comp(
    stack: Stack,
    folder: Path,
    colorspace: ReadColorspace,
    *,
    owner: str = "",
    origin: tuple[int, int] = (0, 0),
    muted: Collection[str] = (),
) -> Graph:
    """Return the stack as open nodes: Reads in a row, a dot under each, merges down the left.

    ``owner`` is the uuid of the LayerT2V node that the Reads follow. Raises ``BadPath``.
    """
    x, y = origin
    top = y + READ_HEIGHT + (ROW if colorspace.matrix else 0)
    nodes = [_backdrop_node(stack, origin)]
    below = ""
    for column, layer in enumerate(stack.layers):
        left, level = x + column * COLUMN, top + column * ROW
        nodes.append(read_node(stack, layer, folder, colorspace, (left, y), owner=owner))
        if colorspace.matrix:
            nodes.append(convert_node(layer, colorspace, (left, y + READ_HEIGHT)))
        is_muted = layer.name in muted or layer.caster in muted
        if column == 0:
            below = nodes[-1].name
            if is_muted:
                nodes.append(black_node(layer, colorspace, {"xpos": x, "ypos": level}))
                below = nodes[-1].name
            continue
        middle = level + (MERGE_HEIGHT - DOT_WIDTH) // 2
        at_dot = {"xpos": left + (TILE_WIDTH - DOT_WIDTH) // 2, "ypos": middle}
        if _has_matte_group(stack, layer):
            nodes.append(matte_group(layer, nodes[-1].name, (left, top + ROW // 2)))
        dot = Node("Dot", f"Dot_{layer.name}", at_dot, (nodes[-1].name,))
        knobs: dict[str, Value] = {"bbox": "B", "xpos": x, "ypos": level}
        if is_muted:
            knobs["disable"] = True
        nodes += [dot, Node("Merge2", f"Merge_{layer.name}", knobs, (below, dot.name))]
        below = nodes[-1].name
    return Graph(tuple(nodes))


def is_footage(stack: Stack) -> bool:
    """Return whether the stack was made of footage, not of a prompt."""
    return any(entry.action == "decompose" for entry in stack.history)


def _has_matte_group(stack: Stack, layer: Layer) -> bool:
    return layer.role is Role.foreground and is_footage(stack)


def _backdrop_node(stack: Stack, position: tuple[int, int]) -> Node:
    count = len(stack.layers)
    title = f"{stack.name}  {stack.width} x {stack.height}, {stack.frames} frames"
    knobs: dict[str, Value] = {
        "label": tcl.safe_label(title),
        "note_font_size": 20.0, "tile_color": BACKDROP_COLOR, "z_order": -10.0,
        "xpos": position[0] - MARGIN, "ypos": position[1] - MARGIN - HEADER,
        "bdwidth": (count - 1) * COLUMN + TILE_WIDTH + 2 * MARGIN,
        "bdheight": READ_HEIGHT + count * ROW + 2 * MARGIN + HEADER,
    }  # fmt: skip
    return Node("BackdropNode", f"Backdrop_{_identifier(stack.name)}", knobs)


def _identifier(text: str) -> str:
    """Return what a node name may hold of a text."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)[:40] or "stack"
