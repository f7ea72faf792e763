from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fakes.example_stack import example_stack
from fakes.fake_engine import MODEL
from layert2v.errors import SpecError
from layert2v.placement import Placement
from layert2v.rerender import RerenderSpec, affected_layers
from layert2v.spec import GenerateSpec, validate
from layert2v_blender import specs


class Collection(dict[str, Any]):
    """What a CollectionProperty does for the add-on: rows in order, found by name."""

    def __iter__(self) -> Any:
        return iter(self.values())

    def add(self) -> SimpleNamespace:
        row = SimpleNamespace()
        self[str(len(self))] = row
        return row


def scene(**fields: Any) -> Any:
    """Return a scene whose panel is filled with ``fields``."""
    panel = {
        "prompt": " a fox ", "background": "", "negative": "", "foregrounds": Collection(),
        "size_from_scene": True, "width": 64, "height": 64, "frames": 0, "seed": "",
        "own_sampling": False, "steps": 20, "guidance": 4.0, "colorspace": "",
        "nearest": False, "compression": "zips",
    }  # fmt: skip
    render = SimpleNamespace(
        resolution_x=1920, resolution_y=1080, resolution_percentage=50, fps=24, fps_base=1.001
    )
    state = SimpleNamespace(**{**panel, **fields})
    return SimpleNamespace(layert2v=state, render=render, frame_start=1001)


def layer(**fields: Any) -> Any:
    versions = [
        SimpleNamespace(number=1, prompt="a fox"),
        SimpleNamespace(number=2, prompt="a bear"),
    ]
    values = {
        "name": "fg_01",
        "current": 2,
        "prompt": "a bear",
        "seed": "",
        "strength": 1.0,
        "frozen": False,
    }
    return SimpleNamespace(**{**values, **fields}, versions=versions)  # fmt: skip


def test_the_size_of_the_scene_is_brought_to_the_model() -> None:
    size = specs.output_size(scene(), MODEL)
    assert (size.width, size.height, size.frames) == (256, 144, 5)
    assert size.text == "256 x 144, 5 frames (instead of 960 x 540)"


def test_a_size_that_the_model_offers_is_not_explained() -> None:
    size = specs.output_size(scene(size_from_scene=False, frames=9), MODEL)
    assert size.text == "64 x 64, 9 frames"


def test_a_length_is_rounded_to_the_nearest() -> None:
    size = specs.output_size(scene(size_from_scene=False, frames=12), MODEL)
    assert size.text == "64 x 64, 13 frames (instead of 12 frames)"


@pytest.mark.parametrize(("text", "seed"), [("", None), (" 12 ", 12), ("x", None), ("²", None)])
def test_a_seed_is_a_number_or_nothing(text: str, seed: int | None) -> None:
    assert specs.parse_seed(text) == seed


def test_the_panel_is_a_request_that_the_model_takes() -> None:
    spec = specs.generate_spec(scene(seed="7", own_sampling=True), MODEL)
    assert validate(spec, MODEL) == []
    assert (spec.prompt, spec.seed, spec.steps, spec.guidance) == ("a fox", 7, 20, 4.0)
    assert (spec.start_frame, spec.colorspace) == (1001, MODEL.colorspaces[0])
    assert spec.fps == pytest.approx(23.976, abs=1e-3)


def test_steps_and_guidance_are_the_models_unless_they_are_set() -> None:
    spec = specs.generate_spec(scene(), MODEL)
    assert (spec.steps, spec.guidance) == (0, -1.0)


def test_a_preset_fills_the_panel() -> None:
    filled = scene(seed="7")
    specs.fill_preset(MODEL.presets[1], filled.layert2v)
    spec = specs.generate_spec(filled, MODEL)
    assert (spec.width, spec.height, spec.frames, spec.steps) == (128, 96, 9, 8)
    assert spec.guidance == 5.0
    specs.fill_preset(MODEL.presets[0], filled.layert2v)  # which says nothing of the size
    spec = specs.generate_spec(filled, MODEL)
    assert (spec.width, spec.frames, spec.steps, spec.guidance) == (128, 1, 2, 5.0)


def test_places_belong_to_the_foregrounds_that_have_a_prompt() -> None:
    rows = [
        SimpleNamespace(prompt="", place="box 0 0 1 1"),
        SimpleNamespace(prompt="an owl", place=""),
        SimpleNamespace(prompt="a fox", place=" ellipse 0.5 0 0.5 1 * 2 "),
    ]
    foregrounds = Collection({str(number): row for number, row in enumerate(rows)})
    spec = specs.generate_spec(scene(foregrounds=foregrounds), MODEL)
    assert spec.foreground_prompts == ("an owl", "a fox")
    assert spec.placements == (Placement(2, "ellipse", 0.5, 0, 0.5, 1, 2.0),)
    panel = scene().layert2v
    specs.fill_panel(spec, panel)
    assert [row.place for row in panel.foregrounds] == ["", "ellipse 0.5 0 0.5 1 * 2"]
    rows[1].place = "left"
    with pytest.raises(SpecError, match="'left' is no region"):
        specs.generate_spec(scene(foregrounds=foregrounds), MODEL)


def test_lighting_is_matched_by_generating_ref_alone() -> None:
    spec = specs.lighting_spec(scene(seed="7"))
    assert (spec.action, spec.layers, spec.seed) == ("regenerate", ("ref",), 7)
    affected = affected_layers(spec, example_stack())
    assert affected.updates_ref


def test_a_prompt_is_sent_with_a_rerender_only_if_it_is_new() -> None:
    assert specs.rerender_spec(scene(), layer()).prompts == {}
    assert specs.rerender_spec(scene(), layer(prompt="an owl")).prompts == {"fg_01": "an owl"}


def test_only_dependent_layers_are_frozen() -> None:
    names = ("bg", "shadow_01", "fg_01")
    item: Any = SimpleNamespace(layers=[layer(name=name, frozen=True) for name in names])
    spec = RerenderSpec(action="regenerate", layers=("fg_01",))
    assert specs.freeze_layers(spec, item, example_stack()).frozen == ("shadow_01",)
    item.layers[1].frozen = False
    assert specs.freeze_layers(spec, item, example_stack()).frozen == ()


def test_an_earlier_request_fills_the_panel() -> None:
    panel = scene().layert2v
    spec = GenerateSpec(
        prompt="an owl", foreground_prompts=("an owl flying",), width=96, height=64, frames=9,
        seed=3, steps=8, guidance=2.0,
    )  # fmt: skip
    specs.fill_panel(spec, panel)
    assert [row.prompt for row in panel.foregrounds] == ["an owl flying"]
    assert (panel.size_from_scene, panel.width, panel.frames, panel.seed) == (False, 96, 9, "3")
    assert (panel.own_sampling, panel.steps, panel.guidance) == (True, 8, 2.0)


def test_an_earlier_rerender_fills_the_layers_that_are_still_there() -> None:
    fox = layer()
    item: Any = SimpleNamespace(layers=Collection(fg_01=fox))
    spec = RerenderSpec(
        action="regenerate", layers=("fg_01", "fg_02"), prompts={"fg_01": "an owl"}, seed=5,
        strength=0.5,
    )  # fmt: skip
    specs.fill_layers(spec, item, scene().layert2v)
    assert (fox.prompt, fox.seed, fox.strength) == ("an owl", "5", 0.5)


def test_words_of_others_are_shown_as_plain_text() -> None:
    bad, good = "an owl\x1b \u202etxt", "an owl\ufffd \ufffdtxt"
    panel = scene().layert2v
    specs.fill_panel(
        GenerateSpec(
            prompt=bad,
            background_prompt=bad,
            negative_prompt=bad,
            foreground_prompts=(bad,),
            width=96,
            height=96,
            frames=9,
            steps=8,
            guidance=2.0,
        ),
        panel,
    )
    assert [panel.prompt, panel.background, panel.negative] == [good] * 3
    assert [row.prompt for row in panel.foregrounds] == [good]
    fox = layer()
    item: Any = SimpleNamespace(layers=Collection(fg_01=fox))
    spec = RerenderSpec(action="regenerate", layers=("fg_01",), prompts={"fg_01": bad})
    specs.fill_layers(spec, item, panel)
    assert fox.prompt == good
