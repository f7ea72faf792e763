"""What a preset fills in, on its way through JSON and messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.fake_engine import MODEL
from layert2v.errors import SpecError
from layert2v.presets import Preset, apply_preset, find_preset
from layert2v.spec import GenerateSpec, model_from_json, model_to_json
from layert2v.wire import model_from_message, model_to_message

FINAL = Preset("final", 832, 480, 81, 50, 5.0)


def test_it_fills_in_what_is_not_said() -> None:
    found = apply_preset(GenerateSpec("a fox", steps=12, guidance=0.0), FINAL)
    assert (found.width, found.height, found.frames, found.steps) == (832, 480, 81, 12)
    assert found.guidance == 0
    sized = apply_preset(GenerateSpec("a fox", width=480, height=832), FINAL)
    assert (sized.width, sized.height, sized.steps, sized.guidance) == (480, 832, 50, 5.0)
    assert apply_preset(GenerateSpec("a fox"), Preset("plain")) == GenerateSpec("a fox")


def test_it_is_described() -> None:
    assert FINAL.text == "832 x 480, 81 frames, 50 steps, guidance 5"
    assert Preset("standard").text == "the model's defaults"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    presets = (Preset("preview"), FINAL)
    assert find_preset("final", "Wan", presets) is FINAL
    with pytest.raises(SpecError, match="Wan has no preset 'fast'") as raised:
        find_preset("fast", "Wan", presets)
    assert raised.value.hint == "It has: preview, final."


def test_models_keep_theirs() -> None:
    model = replace(MODEL, presets=(FINAL, Preset("free", guidance=0.0), Preset("plain")))
    assert model_from_json(model_to_json(model)) == model
    assert model_from_message(model_to_message(model)) == model
    before = {name: value for name, value in model_to_json(model).items() if name != "presets"}
    assert model_from_json(before) == replace(model, presets=())
