"""Requests about footage as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from fakes.sample_documents import decompositions, refinements
from layert2v.decompose import (
    Box,
    DecomposeSpec,
    RefineSpec,
    SubjectSpec,
    decompose_from_json,
    decompose_to_json,
    refine_from_json,
    refine_to_json,
)
from layert2v.errors import SpecError

BOXED = DecomposeSpec((SubjectSpec(boxes=(Box(1001, 1, 2, 3, 4),)),))


@given(decompositions)
def test_decompose_round_trip(spec: DecomposeSpec) -> None:
    text = json.dumps(decompose_to_json(spec))
    assert decompose_from_json(json.loads(text)) == spec


@given(refinements)
def test_refine_round_trip(spec: RefineSpec) -> None:
    text = json.dumps(refine_to_json(spec))
    assert refine_from_json(json.loads(text)) == spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, "Unknown field: extra"),
        ({"footage": None}, "footage must be an object"),
        ({"subjects": [{"words": "dog"}]}, r"subjects\[0\].boxes is missing"),
        ({"first": 1.5}, "first must be a whole number"),
    ],
)
def test_other_json_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        decompose_from_json({**decompose_to_json(BOXED), **change})


def test_requests_of_before_do_not_say_how_movies_are_read() -> None:
    plain = decompose_to_json(BOXED)
    for name in ("matrix", "color_range", "deinterlace"):
        del plain["footage"][name]
    assert decompose_from_json(plain) == BOXED


def test_a_box_says_where_it_is_wrong() -> None:
    plain = decompose_to_json(BOXED)
    plain["subjects"][0]["boxes"][0]["frame"] = "1001"
    with pytest.raises(SpecError, match=r"subjects\[0\].boxes\[0\].frame must be a whole number"):
        decompose_from_json(plain)
