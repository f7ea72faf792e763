"""The matte group of a foreground: Erode, Blur and Grade on its alpha, ready to use.

Color is divided by alpha before and multiplied with it after, so that the edge keeps its color when
the matte gets smaller. With the knobs as they come every node is off, and the layer passes through
as it is, bit by bit.
"""

from __future__ import annotations

from layert2v.stack import Layer
from layert2v_nuke.graph.model import ROLE_COLORS, ROW, Expression, Node, UserKnob, Value

_NEUTRAL = {"erode": 0.0, "blur": 0.0, "blackpoint": 0.0, "whitepoint": 1.0, "gamma": 1.0}
_TOOLTIPS = {
    "erode": "Pixels off the edge; below 0 it grows, into color that is not there",
    "blur": "Pixels",
    "blackpoint": "What is below becomes 0",
    "whitepoint": "What is above becomes 1",
    "gamma": "Of what is between",
}


def matte_name(layer: str) -> str:
    """Return the name of the matte group of a layer."""
    return f"Matte_{layer}"


def matte_group(layer: Layer, source: str, position: tuple[int, int]) -> Node:
    """Return the group that refines the matte of ``layer``, which the node ``source`` shows."""
    knobs: dict[str, Value] = {
        "tile_color": ROLE_COLORS[layer.role],
        "xpos": position[0],
        "ypos": position[1],
    }
    return Node("Group", matte_name(layer.name), knobs, (source,), _knobs(), _inner_nodes())


def _knobs() -> tuple[UserKnob, ...]:
    sliders = (
        UserKnob("Double_Knob", name, name.capitalize(), value, tooltip=_TOOLTIPS[name])
        for name, value in _NEUTRAL.items()
    )
    return (UserKnob("Tab_Knob", "matte", "Matte"), *sliders)


def _inner_nodes() -> tuple[Node, ...]:
    unchanged = _all_neutral(*_NEUTRAL)
    grade = {name: Expression(f"parent.{name}") for name in ("blackpoint", "whitepoint", "gamma")}
    chain: tuple[tuple[str, str, dict[str, Value]], ...] = (
        ("Unpremult", "Unpremult1", {"disable": unchanged}),
        ("FilterErode", "Erode", {
            "channels": "alpha", "size": Expression("parent.erode"), "filter": "gaussian",
            "disable": _all_neutral("erode"),
        }),
        ("Blur", "Blur", {
            "channels": "alpha", "size": Expression("parent.blur"),
            "disable": _all_neutral("blur"),
        }),
        ("Grade", "Grade", {
            "channels": "alpha", **grade, "white_clamp": True, "disable": _all_neutral(*grade),
        }),
        ("Premult", "Premult1", {"disable": unchanged}),
        ("Output", "Output1", {}),
    )  # fmt: skip
    nodes = [Node("Input", "in", {"number": 0, "xpos": 0, "ypos": 0})]
    for row, (cls, name, knobs) in enumerate(chain, 1):
        nodes.append(Node(cls, name, {**knobs, "xpos": 0, "ypos": row * ROW}, (nodes[-1].name,)))
    return tuple(nodes)


def _all_neutral(*names: str) -> Expression:
    return Expression("&&".join(f"parent.{name}=={_NEUTRAL[name]:g}" for name in names))
