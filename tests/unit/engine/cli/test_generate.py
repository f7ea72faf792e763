"""``layert2v-engine generate`` and ``models``, and what the command line says about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

import layert2v
from fakes.tiny_model import write_tiny_model
from layert2v import stack as contract
from layert2v_engine.cli.main import main

PROMPT = "a red fox running through a forest at night"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models")))


def test_generate_takes_its_options(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fox"
    options = ["--frames", "1", "--size", "32x48", "--seed", "5", "--steps", "2", "--fps", "25"]
    options += ["--colorspace", "ACEScg", "--start-frame", "7", "--device", "auto"]
    assert main(["generate", PROMPT, "--out", str(out), "--models", models, *options]) == 0
    output = capsys.readouterr()
    assert output.out == f"{out}\n"
    assert "understood as: fox, running, forest, night" in output.err
    result = contract.read(out)
    assert (result.width, result.height, result.frames, result.start_frame) == (32, 48, 1, 7)
    assert (result.fps, result.seed, result.colorspace) == (25.0, 5, "lin_ap1_scene")
    assert result.history[0].spec["colorspace"] == "lin_ap1_scene"


def test_every_wrong_field_is_a_line_with_its_option(
    models: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--size", "40x48", "--foreground", "a fox", "--foreground", "a car"]
    options += ["--colorspace", "ACEScct", "--steps", "501"]
    assert main(["generate", " ", "--out", str(tmp_path), "--models", models, *options]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == "layert2v-engine: The request cannot be met:"
    named = [line.split(":")[0].strip() for line in lines]
    assert named == ["PROMPT", "--foreground", "--size", "--steps", "--colorspace"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--frames", "0"], "--frames: '0' must be a whole number from 1 on"),
        (["--size", "0x0"], "--size: write '0x0' as WIDTHxHEIGHT"),
        (["--size", "1x2x3"], "--size: write '1x2x3' as WIDTHxHEIGHT"),
        (["--seed", "-1"], "--seed: '-1' must be a whole number from 0 on"),
        (["--fps", "nan"], "--fps: 'nan' must be a number from 0 on"),
        (["--guidance", "much"], "--guidance: 'much' must be a number from 0 on"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["generate", PROMPT, "--out", str(tmp_path), *options])
    output = capsys.readouterr().err
    assert ended.value.code == 2
    assert sentence in output
    assert output.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--out", "fox", "--device", "toaster"], "cannot use the device 'toaster'"),
        (["--out", "fox", "--models", "/nope"], "There is no folder /nope."),
        (["--out", "fox", "--model", "sora"], "There is no model called 'sora' here."),
        (["--out", "/dev/null/fox"], "Not a directory"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    models: str, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["generate", PROMPT, "--models", models, *options]) == 2
    output = capsys.readouterr().err
    assert output.startswith("layert2v-engine: ")
    assert sentence in output
    assert output.count("\n") == 1


def test_the_version_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"layert2v-engine {layert2v.__version__}\n"


def test_models_lists_limits_and_words(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--models", models]) == 0
    output = capsys.readouterr().out
    assert "mini: Tiny; 48x32, 5 frames; up to 1 foreground(s)" in output
    assert "  subject: fox, car" in output
