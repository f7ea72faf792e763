"""``layert2v-engine rerender``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.tiny_model import write_tiny_model
from layert2v import stack as contract
from layert2v_engine.cli.main import main

PROMPT = "a red car driving through a forest at night"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def generated_stack(models: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "car"
    assert main(["generate", PROMPT, "--out", str(out), "--models", models, "--steps", "1"]) == 0
    return out


@pytest.fixture
def stack(generated_stack: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated_stack, tmp_path / "car"))


def test_a_layer_is_drawn_again(
    models: str, stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--prompt", "a fox", "--seed", "4", "--strength", "0.8", "--steps", "2"]
    command = ["rerender", str(stack), "--layer", "fg_01", *options, "--models", models]
    assert main(command) == 0
    assert f"{stack}: state v002, shadow_01 v002, fg_01 v002" in capsys.readouterr().out
    result = contract.read(stack)
    assert result.layer("fg_01").prompt == "a fox running"
    expected = {"seed": 4, "strength": 0.8, "steps": 2, "at": 1, "model": "mini"}
    assert expected.items() <= result.history[1].spec.items()


def test_what_needs_no_model_needs_none(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copytree(stack, tmp_path / "other"))
    donor = ["--from", f"{other}:fg_01", "--with-shadow", "--above", "bg", "--model", "nowhere"]
    assert main(["rerender", str(stack), "--add", *donor]) == 0
    order = ["--order", "bg", "fg_01", "fg_02"]
    assert main(["rerender", str(stack), *order]) == 0
    assert main(["rerender", str(stack), "--remove", "fg_02", "--at", "v002"]) == 0
    result = contract.read(stack)
    assert [entry.parent for entry in result.history] == [0, 1, 2, 2]
    assert "note: ref stays as it was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--layer", "fg_09"], "--layer: There is no layer 'fg_09'"),
        (["--layer", "fg_01", "--strength", "2"], "--strength: The strength must be above 0"),
        (["--layer", "fg_01", "--layer", "bg", "--prompt", "x"], "--prompt does not say which"),
        (["--layer", "fg_01", "--from", "other"], "other names no layer of a stack"),
        (["--layer", "bg", "--plate", "nowhere"], "The plate has no frames"),
        (["--add"], "--prompt: Write a prompt that says what should be added"),
        (["--layer", "bg", "--at", "v007"], "no state v007"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    models: str,
    stack: Path,
    options: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(stack.rglob("*"))
    assert main(["rerender", str(stack), *options, "--models", models]) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(stack.rglob("*")) == before
