"""Regions of foregrounds: how people write them, how they travel, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.rerender_examples import MINI
from layert2v import spec, wire
from layert2v.errors import SpecError
from layert2v.placement import (
    Placement,
    drawn_placement,
    parse_placement,
    placement_outline,
    placement_text,
)
from layert2v.spec import GenerateSpec, validate

LEFT = Placement(foreground=1, shape="ellipse", x=0.1, y=0.3, width=0.4, height=0.6)


@pytest.mark.parametrize(
    ("text", "placement"),
    [
        ("ellipse 0.1 0.3 0.4 0.6", LEFT),
        (" 2:box 0, 0, 1, 1 * 0.5 ", Placement(2, "box", 0, 0, 1, 1, 0.5)),
        ("1:ellipse 0.1,0.3,0.4,0.6", LEFT),
    ],
)
def test_regions_are_read_as_people_write_them(text: str, placement: Placement) -> None:
    assert parse_placement(text) == placement
    assert parse_placement(placement_text(placement), placement.foreground) == placement


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("left", "Write for example"),
        ("circle 0 0 1 1", "Write for example"),
        ("box 0 0 1", "Write for example"),
        ("box 0 0 1 ...", "Write for example"),
        ("box 0.5 0 0.6 1", "must lie in the picture"),
        ("box 0 0 0 1", "above 0"),
        ("box 0 0 1 1 * 9", "between 0 and 4"),
    ],
)
def test_what_is_no_region_is_answered_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse_placement(text)


def test_regions_travel_as_json_and_as_messages() -> None:
    request = GenerateSpec("a fox", placements=(LEFT, replace(LEFT, foreground=2, strength=0.5)))
    assert spec.spec_from_json(spec.spec_to_json(request)) == request
    assert wire.spec_from_message(wire.spec_to_message(request)) == request
    plain = spec.spec_to_json(GenerateSpec("a fox"))
    del plain["placements"]  # as requests of before
    assert spec.spec_from_json(plain).placements == ()


def test_a_region_for_a_foreground_that_is_not_there_or_for_one_twice_is_refused() -> None:
    request = GenerateSpec("a fox", foreground_prompts=("a fox",))
    other = replace(request, placements=(replace(LEFT, foreground=2),))
    assert [each.field for each in validate(other, MINI)] == ["placements[0]"]
    (found,) = validate(replace(request, placements=(LEFT, LEFT)), MINI)
    assert "more than one region" in found.message
    assert not validate(replace(request, placements=(LEFT,)), MINI)


def test_what_was_drawn_is_a_region_of_the_picture() -> None:
    drawn = drawn_placement("ellipse", ((90, 10), (30, -5)), (100, 50), "box 0 0 1 1 * 2")
    assert placement_text(drawn) == "ellipse 0.3 0 0.6 0.2 * 2"
    assert drawn_placement("box", ((0, 0), (200, 60)), (100, 50), "left") == Placement(
        1, "box", 0, 0, 1, 1
    )
    with pytest.raises(SpecError, match="width and height above 0"):
        drawn_placement("box", ((110, 10), (130, 20)), (100, 50))


def test_an_outline_goes_round_the_region() -> None:
    for shape in ("box", "ellipse"):
        outline = placement_outline(replace(LEFT, shape=shape))
        assert min(x for x, _ in outline) == pytest.approx(LEFT.x)
        assert max(y for _, y in outline) == pytest.approx(LEFT.y + LEFT.height)
