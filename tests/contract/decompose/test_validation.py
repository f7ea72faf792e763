"""Rules of requests about footage: what is refused, and with which words."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from fakes.rerender_examples import STACK
from layert2v.decompose import (
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
    resolve_refine,
    validate_decompose,
    validate_refine,
)
from layert2v.limits import MAX_FRAME
from layert2v.rerender import Plate

POINT = Point(1001, 5, 5)
FULL = DecomposeSpec(
    subjects=(
        SubjectSpec("the dog", boxes=(Box(1001, -3, 80, 400, 300),), matte="roto"),
        SubjectSpec(points=(Point(1001, 5, 5), Point(1001, 9, 9, False)), scribble="strokes"),
    ),
    footage=Footage("footage", "ACEScg", "opaque", 23.976, 1001),
    plate=Plate("clean"),
    first=1001,
    last=1001,
    handles=8,
    scale=0.5,
)


def subject(**fields: object) -> DecomposeSpec:
    return DecomposeSpec((SubjectSpec(**fields),))  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [DecomposeSpec(), FULL, subject(), subject(words="the dog")])
def test_valid_requests(spec: DecomposeSpec) -> None:
    assert validate_decompose(spec) == []


WRONG: list[tuple[DecomposeSpec, str, str]] = [
    (DecomposeSpec((SubjectSpec(),) * 17), "subjects", "at most 16 subjects, not 17"),
    (subject(points=(Point(1, 0, 0),) * 2001), "subjects", "at most 2000 boxes and points"),
    (subject(words="x" * 2001), "subjects[0].words", "at most 2000 characters, not 2001"),
    (subject(matte="x" * 201), "subjects", "at most 200 characters"),
    (replace(FULL, name="x" * 201), "name", "at most 200 characters"),
    (subject(boxes=(Box(1, 0, 0, 0, 5),)), "subjects[0].boxes[0]", "sides of a box"),
    (subject(boxes=(Box(1, 0, 0, inf, 5),)), "subjects[0].boxes[0]", "sides of a box"),
    (subject(boxes=(Box(1, nan, 0, 5, 5),)), "subjects[0].boxes[0]", "position of a hint"),
    (subject(points=(Point(-1, 0, 0),)), "subjects[0].points[0]", "frame of a hint"),
    (subject(points=(Point(1, 0, 1e9),)), "subjects[0].points[0]", "position of a hint"),
    (subject(matte="a", scribble="a"), "subjects[0].scribble", "different pictures"),
    (subject(matte="footage"), "subjects", "footage cannot be a matte"),
    (
        DecomposeSpec((SubjectSpec(matte="a"), SubjectSpec(matte="a"))),
        "subjects",
        "Two subjects share the pictures 'a'",
    ),
    (subject(matte="../a"), "inputs", "lower-case letters"),
    (replace(FULL, plate=Plate("footage")), "plate.input", "different pictures"),
    (replace(FULL, plate=Plate("roto")), "plate.input", "different pictures"),
    (replace(FULL, plate=Plate("clean", fit="no")), "plate.fit", "one of: exact, fit"),
    (DecomposeSpec(footage=Footage(alpha="no")), "footage.alpha", "one of: auto"),
    (DecomposeSpec(footage=Footage(matrix="ycgco")), "footage.matrix", "one of: auto, bt601"),
    (DecomposeSpec(footage=Footage(color_range="tv")), "footage.color_range", "auto, limited"),
    (DecomposeSpec(footage=Footage(colorspace="")), "footage.colorspace", "which color space"),
    (DecomposeSpec(footage=Footage(fps=nan)), "footage.fps", "between 1 and 240"),
    (DecomposeSpec(footage=Footage(start_frame=-1)), "footage.start_frame", "between 0 and"),
    (DecomposeSpec(colorspace=""), "colorspace", "which linear color space"),
    (DecomposeSpec(first=MAX_FRAME + 1), "first", "between 0 and"),
    (DecomposeSpec(first=9, last=8), "last", "8, comes before the first, 9"),
    (DecomposeSpec(handles=-1), "handles", "between 0 and 1000"),
    (DecomposeSpec(scale=0), "scale", "above 0 and at most 1"),
    (DecomposeSpec(scale=nan), "scale", "above 0 and at most 1"),
]


@pytest.mark.parametrize(("spec", "field", "words"), WRONG)
def test_wrong_requests(spec: DecomposeSpec, field: str, words: str) -> None:
    (found,) = validate_decompose(spec)
    assert found.field == field
    assert words in found.message


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (RefineSpec("bg", "roto"), "layer", "no foreground 'bg'; foregrounds are: fg_01"),
        (RefineSpec("fg_01", "Roto"), "inputs", "lower-case letters"),
        (RefineSpec("fg_01"), "matte", "either a matte, or points"),
        (RefineSpec("fg_01", "roto", points=(POINT,)), "matte", "either a matte, or points"),
        (RefineSpec("fg_01", points=(POINT, Point(-1, 0, 0))), "points[1]", "between 0 and"),
        (RefineSpec("fg_01", points=(POINT,) * 2001), "points", "at most 2000 points, not 2001"),
        (RefineSpec("fg_01", "roto", Plate("roto")), "plate.input", "different pictures"),
        (RefineSpec("fg_01", "roto", at=9), "at", "no state v009"),
        (RefineSpec("x" * 201, "roto"), "layer", "at most 200 characters"),
    ],
)
def test_wrong_refinements(spec: RefineSpec, field: str, words: str) -> None:
    (found,) = validate_refine(spec, STACK)
    assert found.field == field
    assert words in found.message


def test_a_refinement_needs_the_footage() -> None:
    assert validate_refine(RefineSpec("fg_01", points=(POINT,)), STACK) == []
    assert validate_refine(RefineSpec("fg_01", "roto"), STACK) == []
    (found,) = validate_refine(RefineSpec("fg_01", "roto"), replace(STACK, flats=()))
    assert "lacks its ref" in found.message


def test_the_newest_state_is_the_default() -> None:
    assert resolve_refine(RefineSpec("fg_01", "roto"), STACK).at == STACK.state


def test_recipes_are_known_by_name() -> None:
    assert not validate_decompose(replace(FULL, recipe="decompose+"))
    (wrong,) = validate_decompose(replace(FULL, recipe="magic"))
    assert wrong.field == "recipe"
    assert wrong.message.startswith("There is no recipe 'magic'; there are: decompose, decompose+,")
