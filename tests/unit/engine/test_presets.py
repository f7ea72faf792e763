"""Presets in files: the shipped ones, and those of a folder of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.tiny_model import INFO, write_tiny_model
from layert2v.presets import Preset
from layert2v_engine.cli.main import main
from layert2v_engine.engine import Engine
from layert2v_engine.errors import BadConfig
from layert2v_engine.presets import find_presets, load_presets, presets_of


def test_every_model_has_the_three_and_preview_takes_the_fewest_steps() -> None:
    for model, presets in load_presets().items():
        assert [preset.name for preset in presets] == ["preview", "standard", "final"], model
        assert presets[0].steps < presets[2].steps
    wan = presets_of("wan", load_presets())[2]
    assert (wan.width, wan.height, wan.frames, wan.steps, wan.guidance) == (832, 480, 81, 50, -1)


def test_another_model_has_those_of_any() -> None:
    assert presets_of("mine", load_presets())[0] == Preset("preview", steps=10)


def test_a_folder_of_models_may_bring_its_own(tmp_path: Path) -> None:
    models = write_tiny_model(tmp_path)
    assert {preset.name for preset in Engine(models).models()[0].presets} == {
        "preview", "standard", "final",
    }  # fmt: skip
    (models / "presets.toml").write_text("[mini.dailies]\nsteps = 6\nguidance = 2.5\n")
    model = next(each for each in Engine(models).models() if each.name == INFO.name)
    assert model.presets == (Preset("dailies", steps=6, guidance=2.5),)
    assert find_presets(None) == load_presets()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[any.x]\nsteps = true", "steps = True in any.x"),
        ("[any.x]\nsteps = 2.5", r"steps = 2.5 in any.x"),
        ("[any.x]\nsmall = 1", "small = 1 in any.x"),
        ("[any]\nx = 1", "x = 1 in any"),
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


def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["generate", "a fox", "--out", str(tmp_path / "out"), "--preset", "fast"]
    assert main(command) != 0
    error = capsys.readouterr().err
    assert "mini has no preset 'fast'. It has: preview, standard, final." in error
    assert not (tmp_path / "out").exists()
