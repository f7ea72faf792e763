"""Requests about footage from the values of knobs: Nuke's pixels begin below, theirs above."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from layert2v import stack as manifest
from layert2v.decompose import Box, DecomposeSpec, Point, RefineSpec
from layert2v.stack import Stack
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph import footage_knobs, node
from layert2v_nuke.graph.knobs import INSIDE, OUTSIDE
from layert2v_nuke.inputs import InputImages
from layert2v_nuke.session import footage

SOURCE = InputImages("shot", 96, 64, 1001, 1010)


def knobs(*subjects: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return the values of a node's knobs; ``subjects`` are changed from what a new one holds."""
    values = {one.name: one.value for one in node.node_knobs("") if node.holds_value(one)}
    for number, subject in enumerate(subjects, 1):
        tab = footage_knobs.subject_tab(number, (24.0, 16.0, 72.0, 48.0), 1004)
        values |= {
            one.name: one.value for one in tab if footage_knobs.holds_subject_value(one.name)
        }
        values |= {f"subject_{number}_{name}": value for name, value in subject.items()}
    return {**values, **changed}


def request(*subjects: dict[str, Any], **changed: Any) -> DecomposeSpec:
    return footage.decompose_spec(
        knobs(*subjects, **changed), SOURCE, "lin_rec709_scene", 24.0, "lin_ap1_scene"
    )


def test_without_subjects_the_whole_input_is_asked_for() -> None:
    spec = request()
    assert (spec.subjects, spec.name) == ((), "shot")
    assert (spec.first, spec.last, spec.handles, spec.scale) == (1001, 1010, 0, 1.0)
    assert (spec.footage.colorspace, spec.footage.alpha) == ("lin_rec709_scene", "opaque")
    assert (spec.footage.fps, spec.plate) == (24.0, None)


def test_a_box_and_points_are_turned_to_count_from_above() -> None:
    (subject,) = request(
        {
            "words": " the dog ", "has_box": True, "box": (10.0, 14.0, 40.0, 50.0),
            "point_1_is": INSIDE, "point_1": (20.0, 24.0), "point_1_frame": 1002,
            "point_3_is": OUTSIDE, "point_3": (90.0, 60.0),
        }
    ).subjects  # fmt: skip
    assert subject.words == "the dog"
    assert subject.boxes == (Box(1004, 10.0, 14.0, 30.0, 36.0),)
    assert subject.points == (Point(1002, 20.0, 40.0, True), Point(1004, 90.0, 4.0, False))


def test_a_handle_that_was_not_moved_says_nothing() -> None:
    (subject,) = request({}).subjects
    assert not subject.has_hints


def test_mattes_have_keys_of_their_own_and_frames() -> None:
    values = knobs({"matte": "red"}, {"matte": "alpha", "matte_all": False, "matte_frame": 1003})
    spec = footage.decompose_spec(values, SOURCE, "lin_rec709_scene", 24.0, "")
    assert [subject.matte for subject in spec.subjects] == ["matte_1", "matte_2"]
    frames = footage.footage_frames(spec, SOURCE)
    found = [footage.matte_frames(one, frames) for one in footage.subjects_of(values).values()]
    assert found == [range(1001, 1011), range(1003, 1004)]


@pytest.mark.parametrize(
    ("first", "last", "handles", "frames"),
    [
        (1003, 1005, 0, range(1003, 1006)),
        (1003, 1005, 1, range(1002, 1007)),
        (1002, 1009, 8, range(1001, 1011)),  # as far as there are any
        (1000, 1012, 2, range(1000, 1013)),  # what is asked for is rendered
    ],
)
def test_a_range_with_handles(first: int, last: int, handles: int, frames: range) -> None:
    spec = request(
        footage_range=True, footage_first=first, footage_last=last, footage_handles=handles
    )
    assert (spec.first, spec.last, spec.handles) == (first, last, handles)
    assert footage.footage_frames(spec, SOURCE) == frames


def test_handles_without_a_range_mean_nothing() -> None:
    assert request(footage_handles=5).handles == 0


def test_what_looks_like_a_cut_is_none_where_it_is_said() -> None:
    assert request(footage_ignore_cuts=True).ignore_cuts
    assert not request().ignore_cuts


def test_a_clean_plate_of_the_artist() -> None:
    plate = request(footage_plate=True).plate
    assert plate is not None
    assert (plate.input, plate.colorspace, plate.alpha) == ("plate", "lin_ap1_scene", "opaque")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"footage_scale": 0.0}, "The scale must be above 0"),
        ({"footage_range": True, "footage_last": 1000}, "comes before the first"),
    ],
)
def test_what_cannot_be_is_one_sentence(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        request(**changed)


def test_files_are_compressed_as_the_knob_says() -> None:
    assert request(compression="dwaa").compression == "dwaa"


def test_a_box_without_a_size_is_refused() -> None:
    with pytest.raises(BadRequest, match="The sides of a box must be above 0"):
        request({"has_box": True, "box": (0.0, 0.0, 0.0, 0.0)})


def test_a_matte_refines_a_foreground_and_nothing_else(foxes: Path) -> None:
    stack = manifest.read(foxes)
    spec = footage.refine_spec({"compression": "dwaa"}, stack, "fg_02")
    assert (spec.layer, spec.matte, spec.at) == ("fg_02", "matte", 1)
    assert spec.compression == "dwaa"
    with pytest.raises(BadRequest, match="There is no foreground 'bg'"):
        footage.refine_spec({}, stack, "bg")
    with pytest.raises(BadRequest, match="lacks its ref"):
        footage.refine_spec({}, replace(stack, flats=()), "fg_02")


def layer_values(stack: Stack, **changed: Any) -> dict[str, Any]:
    """Return the values of the knobs on the layers' tabs, some of them changed."""
    values = {one.name: one.value for one in node.layer_knobs(stack) if node.holds_value(one)}
    return {**values, **changed}


def test_points_that_are_on_correct_a_foreground(foxes: Path) -> None:
    stack = manifest.read(foxes)  # 28 x 18
    values = layer_values(
        stack, compression="dwaa",
        fg_02_point_1_is=OUTSIDE, fg_02_point_1=(20.5, 4.0), fg_02_point_1_frame=1003,
        fg_02_point_3_is=INSIDE, fg_02_point_3=(3.0, 17.0), fg_01_point_2_is=INSIDE,
    )  # fmt: skip
    points = footage.correction_points(values, stack, "fg_02")
    assert points == (Point(1003, 20.5, 14.0, False), Point(1001, 3.0, 1.0, True))
    spec = footage.refine_spec(values, stack, "fg_02", points)
    assert spec == RefineSpec("fg_02", at=1, compression="dwaa", points=points)


def test_without_a_point_there_is_nothing_to_correct(foxes: Path) -> None:
    stack = manifest.read(foxes)
    for values in (layer_values(stack), {}):  # the knobs are missing in nodes of before
        with pytest.raises(BadRequest, match="No point of fg_01 is on") as error:
            footage.correction_points(values, stack, "fg_01")
        assert error.value.hint == "Move one in the viewer to where its matte is wrong."
