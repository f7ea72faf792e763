"""Requests for a stack: validation names the field and the way out, and JSON loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.sample_documents import models, specs
from layert2v import spec
from layert2v.errors import SpecError
from layert2v.limits import MAX_SEED
from layert2v.spec import GenerateSpec, ModelInfo, resolve, validate

MINI = ModelInfo(
    name="mini",
    title="Mini",
    digest="0" * 64,
    width_range=(64, 256),
    height_range=(64, 128),
    size_step=16,
    frames_range=(5, 33),
    frames_step=4,
    max_foregrounds=2,
    default_width=96,
    default_height=96,
    default_frames=9,
    default_fps=12.0,
    default_steps=30,
    default_guidance=4.0,
    steps_range=(1, 100),
    guidance_range=(0.0, 20.0),
    vocabulary={"subject": ("fox",)},
    colorspaces=("lin_rec709_scene", "lin_ap1_scene"),
)


def test_a_prompt_is_enough() -> None:
    assert validate(GenerateSpec("a fox"), MINI) == []


def test_resolve_fills_every_default_and_keeps_what_was_given() -> None:
    full = resolve(GenerateSpec("a fox", steps=5, guidance=0.0), MINI, seed=11)
    assert (full.width, full.height, full.frames, full.fps) == (96, 96, 9, 12.0)
    assert (full.steps, full.guidance, full.seed) == (5, 0.0, 11)
    assert resolve(replace(full, seed=0), MINI, seed=11).seed == 0
    assert validate(full, MINI) == []


@pytest.mark.parametrize("name", ["lin_ap1_scene", "ACEScg", "acescg"])
def test_a_color_space_by_the_name_that_artists_use(name: str) -> None:
    asked = GenerateSpec("a fox", colorspace=name)
    assert validate(asked, MINI) == []
    assert resolve(asked, MINI, seed=1).colorspace == "lin_ap1_scene"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"prompt": " \n"}, "prompt", "Write a prompt"),
        ({"prompt": "x" * 2001}, "prompt", "at most 2000"),
        ({"negative_prompt": "x" * 2001}, "negative_prompt", "at most 2000"),
        ({"foreground_prompts": ("a", " ")}, "foreground_prompts[1]", "say something"),
        ({"foreground_prompts": ("a", "b", "c")}, "foreground_prompts", "at most 2"),
        ({"width": 48}, "width", "between 64 and 256"),
        ({"width": 100}, "width", "multiple of 16"),
        ({"height": 144}, "height", "between 64 and 128"),
        ({"height": -16}, "height", "between 64 and 128"),
        ({"frames": 37}, "frames", "between 5 and 33"),
        ({"frames": 16}, "frames", "such as 13 or 17"),
        ({"fps": 0.5}, "fps", "between 1 and 240"),
        ({"fps": float("nan")}, "fps", "between 1 and 240"),
        ({"seed": -1}, "seed", "between 0"),
        ({"seed": MAX_SEED + 1}, "seed", "between 0"),
        ({"steps": 101}, "steps", "between 1 and 100"),
        ({"guidance": 21.0}, "guidance", "between 0 and 20"),
        ({"guidance": float("nan")}, "guidance", "finite"),
        ({"model": "wan"}, "model", "'mini'"),
        ({"colorspace": "ACES2065-1"}, "colorspace", "lin_ap1_scene = ACEScg"),
        ({"colorspace": "sRGB"}, "colorspace", "lin_ap1_scene = ACEScg"),
        ({"start_frame": -1}, "start_frame", "between 0 and 999999"),
        ({"start_frame": 999_992}, "start_frame", "between 0 and 999999"),
    ],
)
def test_one_wrong_field_one_sentence(change: dict[str, Any], field: str, words: str) -> None:
    (violation,) = validate(GenerateSpec(**{"prompt": "a fox", **change}), MINI)
    assert violation.field == field
    assert words in violation.message


def test_a_model_of_one_size_says_which() -> None:
    fixed = replace(MINI, width_range=(112, 112), frames_range=(9, 9))
    wide, long = validate(GenerateSpec("a fox", width=100, frames=8), fixed)
    assert wide.message == "The width must be 112, not 100."
    assert long.message == "The number of frames must be 9, not 8."


def test_every_wrong_field_is_named_at_once() -> None:
    found = validate(GenerateSpec("", width=1, frames=2, seed=-1), MINI)
    assert {violation.field for violation in found} == {"prompt", "width", "frames", "seed"}


@given(specs)
def test_spec_through_json(example: GenerateSpec) -> None:
    assert spec.spec_from_json(json.loads(json.dumps(spec.spec_to_json(example)))) == example


@given(models)
def test_model_through_json(example: ModelInfo) -> None:
    assert spec.model_from_json(json.loads(json.dumps(spec.model_to_json(example)))) == example


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 9.5}, "width must be a whole number"),
        ({"extra": 1}, "Unknown field: extra"),
        ({"foreground_prompts": "a"}, "foreground_prompts must be a list"),
        ({"seed": "7"}, "seed must be a whole number"),
    ],
)
def test_a_spec_of_another_shape_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec.spec_from_json({**spec.spec_to_json(GenerateSpec("a fox")), **change})


def test_a_model_of_another_shape_is_refused() -> None:
    with pytest.raises(SpecError, match="width_range must be a list of two"):
        spec.model_from_json({**spec.model_to_json(MINI), "width_range": [1, 2, 3]})


@pytest.mark.parametrize(
    ("asked", "fitted"),
    [
        ((96, 96, 9), (96, 96, 9)),
        ((100, 90, 10), (96, 96, 9)),
        ((100, 90, 12), (96, 96, 13)),
        ((1920, 1080, 100), (224, 128, 33)),
        ((16, 32, 1), (64, 128, 5)),
        ((0, 0, 0), (0, 0, 0)),
        ((0, 90, 0), (0, 90, 0)),
    ],
    ids=["offered", "nearest", "longer", "larger", "smaller", "default", "one side"],
)
def test_fit_to_model(asked: tuple[int, int, int], fitted: tuple[int, int, int]) -> None:
    assert spec.fit_to_model(MINI, *asked) == fitted


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 10_000))
def test_what_fit_to_model_returns_is_valid(width: int, height: int, frames: int) -> None:
    width, height, frames = spec.fit_to_model(MINI, width, height, frames)
    assert validate(GenerateSpec("a fox", width=width, height=height, frames=frames), MINI) == []


def test_a_compression_that_is_not_offered_is_named() -> None:
    found = validate(GenerateSpec(prompt="a fox", compression="htj2k"), MINI)
    assert [each.field for each in found] == ["compression"]
    assert "zips, none, zip" in found[0].message


def test_requests_of_before_have_the_default_compression() -> None:
    plain = spec.spec_to_json(GenerateSpec(prompt="a fox"))
    del plain["compression"]
    assert spec.spec_from_json(plain).compression == "zips"
