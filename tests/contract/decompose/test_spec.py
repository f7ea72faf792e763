"""What requests about footage say of themselves."""

from __future__ import annotations

from layert2v.decompose import Box, DecomposeSpec, Point, RefineSpec, SubjectSpec
from layert2v.rerender import Plate


def test_every_key_once() -> None:
    subjects = (SubjectSpec(matte="a"), SubjectSpec(matte="b", scribble="c"), SubjectSpec("a dog"))
    spec = DecomposeSpec(subjects, plate=Plate("clean"))
    assert spec.input_keys == ("footage", "clean", "a", "b", "c")
    assert RefineSpec("fg_01", "roto").input_keys == ("roto",)
    assert RefineSpec("fg_01", points=(Point(1001, 3, 4),)).input_keys == ()
    assert RefineSpec("fg_01", "roto", Plate("clean")).input_keys == ("roto", "clean")


def test_words_are_no_hint_of_a_place() -> None:
    assert not SubjectSpec("the dog").has_hints
    assert SubjectSpec(boxes=(Box(1, 0, 0, 1, 1),)).has_hints
    assert SubjectSpec(points=(Point(1, 0, 0),)).has_hints
    assert SubjectSpec(matte="a").has_hints
    assert SubjectSpec(scribble="a").has_hints
