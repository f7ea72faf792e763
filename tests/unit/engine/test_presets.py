from __future__ import annotations

from pathlib import Path

import pytest

from layert2v.spec import GenerateSpec
from layert2v_engine.errors import BadConfig
from layert2v_engine.presets import apply_preset, load_presets


def test_a_preset_fills_in_what_is_not_said() -> None:
    presets = load_presets()
    found = apply_preset(GenerateSpec("a fox", model="wan", steps=12), "final", presets)
    assert (found.width, found.height, found.frames, found.steps) == (832, 480, 81, 12)
    sized = apply_preset(
        GenerateSpec("a fox", model="wan", width=480, height=832), "final", presets
    )
    assert (sized.width, sized.height, sized.steps) == (480, 832, 50)


def test_every_model_has_the_three_and_preview_takes_the_fewest_steps() -> None:
    for model, table in load_presets().items():
        assert set(table) == {"preview", "standard", "final"}, model
        assert table["preview"]["steps"] < table["final"]["steps"]


def test_another_model_has_those_of_any() -> None:
    found = apply_preset(GenerateSpec("a fox", model="mine"), "preview", load_presets())
    assert (found.steps, found.width) == (10, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[any.x]\nsteps = true", "steps = True in any.x"),
        ("[any.x]\nsmall = 1", "small = 1 in any.x"),
        ("any", "cannot be read"),
    ],
)
def test_a_wrong_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "presets.toml"
    path.write_text(text)
    with pytest.raises(BadConfig, match=said):
        load_presets(path)
    with pytest.raises(BadConfig, match="cannot be read"):
        load_presets(tmp_path / "gone.toml")


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(BadConfig, match="has no preset 'fast'") as raised:
        apply_preset(GenerateSpec("a fox"), "fast", load_presets())
    assert raised.value.hint == "It has: preview, standard, final."
