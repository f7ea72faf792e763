"""What an input is: files that may be sent as they are, or something that has to be rendered."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.nodes import Node
from layert2v_nuke import inputs
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.inputs import InputImages

SHOT = "/shows/a/shot.%04d.exr"


def read_node(nuke: FakeNuke, files: str = SHOT, colorspace: str = "linear") -> Node:
    read = nuke.nodes.Read()
    read["file"].fromUserText(f"{files} 1001-1010")
    read["format"]._state.put("96 64 0 0 96 64 1 ")
    read["colorspace"].setValue(colorspace)
    return read


def describe_source(nuke: FakeNuke, source: Node) -> InputImages:
    """Return the description of ``source`` behind a dot."""
    dot, node = nuke.nodes.Dot(), nuke.nodes.NoOp()
    dot.setInput(0, source)
    node.setInput(0, dot)
    return inputs.describe(node, 0)


def test_a_plain_read_is_its_files() -> None:
    nuke = FakeNuke()
    found = describe_source(nuke, read_node(nuke))
    assert found == InputImages("shot", 96, 64, 1001, 1010, SHOT, "lin_rec709_scene")


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("raw", True),
        ("premultiplied", True),
        ("frame_mode", "offset"),
        ("frame", "frame+10"),
        ("disable", True),
        ("colorspace", "sRGB"),
        ("file", "/shows/a/shot.mov"),
        ("file", "/shows/a/[getenv SHOT].%04d.exr"),
        ("file", "/shows/a/shot.%04d.jpg"),
    ],
)
def test_a_read_that_shows_something_else_than_its_files_is_rendered(knob: str, value: Any) -> None:
    nuke = FakeNuke()
    read = read_node(nuke)
    read[knob].setValue(value)
    found = describe_source(nuke, read)
    assert (found.files, found.colorspace) == ("", "")
    assert (found.name, found.width, found.height) == ("Read1", 96, 64)


def test_anything_else_is_rendered_at_its_size_and_range() -> None:
    nuke = FakeNuke()
    grade = nuke.nodes.Grade()
    grade.setInput(0, read_node(nuke))
    assert describe_source(nuke, grade) == InputImages("Grade1", 96, 64, 1001, 1010)


def test_nothing_is_named_by_its_input() -> None:
    nuke = FakeNuke()
    with pytest.raises(BadRequest, match="Nothing is connected to the input footage"):
        inputs.describe(nuke.nodes.Merge2(), 2)
