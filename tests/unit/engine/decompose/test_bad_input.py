"""Requests and pictures that cannot be used: one sentence each, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.moving_disc import DiscClip, disc_clip, write_clip
from layert2v.decompose import Box, DecomposeSpec, Point, SubjectSpec
from layert2v.rerender import Plate
from layert2v_engine.engine import Engine
from layert2v_engine.errors import FootageError, InvalidSpec

MATTED = DecomposeSpec((SubjectSpec(matte="roto"),))
PLATED = replace(MATTED, plate=Plate("plate", "lin_rec709_scene"))
Inputs = dict[str, Path]


@pytest.fixture(scope="module")
def clip() -> DiscClip:
    return disc_clip(frames=5)


@pytest.fixture
def inputs(clip: DiscClip, tmp_path: Path) -> Inputs:
    return {
        "footage": write_clip(tmp_path / "footage", clip.source),
        "roto": write_clip(tmp_path / "roto", clip.alpha, name="roto"),
    }


def decompose(spec: DecomposeSpec, inputs: Inputs, folder: Path) -> None:
    try:
        Engine().decompose(
            spec, folder, inputs=inputs, report=lambda _: None, cancelled=lambda: False
        )
    finally:
        assert not folder.exists()


def subject_spec(**said: object) -> DecomposeSpec:
    return DecomposeSpec((SubjectSpec(**said),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (subject_spec(boxes=(Box(1001, 200, 10, 20, 20),)), "box on frame 1001 lies outside"),
        (subject_spec(boxes=(Box(1001, 10, 10, 0.2, 20),)), "box on frame 1001 lies outside"),
        (subject_spec(points=(Point(1002, 96, 3),)), "point on frame 1002 lies outside"),
        (subject_spec(points=(Point(900, 6, 3),)), "Frame 900 of a hint is not among 1001-1005"),
        (DecomposeSpec(first=1004, last=1009), "1004-1009 are not all in the footage, 1001-1005"),
    ],
)
def test_what_lies_outside_is_named(
    spec: DecomposeSpec, message: str, inputs: Inputs, tmp_path: Path
) -> None:
    with pytest.raises(FootageError, match=message):
        decompose(spec, inputs, tmp_path / "out")


def black(clip: DiscClip, folder: Path) -> Path:
    return write_clip(folder, clip.alpha * 0)


def far_away(clip: DiscClip, folder: Path) -> Path:
    return write_clip(folder, clip.alpha[:3], first=2001)


def of_another_size(clip: DiscClip, folder: Path) -> Path:
    return write_clip(folder, clip.alpha[:, ::2, ::2])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (black, "matte is empty on every frame"),
        (far_away, "No frame of the matte has the number of a frame of the footage, 1001-1005"),
        (of_another_size, "matte is 48 x 32 pixels, but the footage is 96 x 64"),
    ],
)
def test_a_matte_that_does_not_fit_is_refused(
    write: Callable[[DiscClip, Path], Path],
    message: str,
    clip: DiscClip,
    inputs: Inputs,
    tmp_path: Path,
) -> None:
    wrong = {**inputs, "roto": write(clip, tmp_path / "wrong")}
    with pytest.raises(FootageError, match=message):
        decompose(MATTED, wrong, tmp_path / "out")


def test_a_plate_of_another_length_is_refused(
    clip: DiscClip, inputs: Inputs, tmp_path: Path
) -> None:
    short = {**inputs, "plate": write_clip(tmp_path / "plate", clip.background[:3])}
    with pytest.raises(FootageError, match="plate has 3 of the 5 frames of the footage"):
        decompose(PLATED, short, tmp_path / "out")


def test_a_frame_that_is_missing_is_named(inputs: Inputs, tmp_path: Path) -> None:
    (inputs["footage"] / "shot.1003.exr").unlink()
    with pytest.raises(FootageError, match=r"missing between shot\.1002\.exr and shot\.1004\.exr"):
        decompose(MATTED, inputs, tmp_path / "out")


def test_a_picture_of_nothing_has_no_subject(tmp_path: Path) -> None:
    flat = {"footage": write_clip(tmp_path / "flat", np.full((2, 64, 64, 3), 0.18, np.float32))}
    with pytest.raises(FootageError, match="No subject was found"):
        decompose(DecomposeSpec(), flat, tmp_path / "out")


def test_two_mattes_of_one_subject_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    twice = DecomposeSpec((SubjectSpec(matte="roto"), SubjectSpec(matte="again")))
    with pytest.raises(FootageError, match="Subjects 1 and 2 are the same part"):
        decompose(twice, {**inputs, "again": inputs["roto"]}, tmp_path / "out")


def test_more_subjects_than_a_stack_can_hold_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="at most"):
        decompose(DecomposeSpec((SubjectSpec(),) * 99), inputs, tmp_path / "out")
