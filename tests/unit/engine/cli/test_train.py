from __future__ import annotations

from pathlib import Path

import pytest
import torch

from layert2v_engine.cli.main import main
from layert2v_engine.cli.train import duration
from layert2v_engine.errors import EngineError
from layert2v_engine.training import stages


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("20m", 1200.0), ("1h", 3600.0), ("2.5", 2.5), ("0s", 0.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "soon", "1d", "1h30m", "nan", "inf", "-5s"])
def test_what_is_no_duration_is_answered_with_examples(text: str) -> None:
    with pytest.raises(EngineError, match="is not a duration") as caught:
        duration(text)
    assert caught.value.reason == "BAD_DURATION"
    assert "20m" in caught.value.hint


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["train", "matte", *arguments]) != 0
    return capsys.readouterr().err


def test_a_bad_budget_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert "'soon' is not a duration" in refusal(capsys, "--run", str(run), "--budget", "soon")
    assert "'toaster'" in refusal(capsys, "--run", str(run), "--device", "toaster")
    assert not run.exists()


def test_a_missing_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "--run", str(tmp_path), "--configs", str(tmp_path), "--device", "cpu")
    assert "joint.toml" in said


def test_a_stage_out_of_turn_names_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "--run", str(tmp_path), "--device", "cpu")
    assert "Train the stage `autoencoder`" in said


def test_a_model_that_does_not_fit_is_answered_with_what_makes_it_smaller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(stages, "run_matte", exhaust)
    said = refusal(capsys, "--run", str(tmp_path), "--device", "cpu")
    assert "The stage matte did not fit into the" in said
    assert "gradient_checkpointing" in said
    assert "Traceback" not in said


def test_sharing_a_model_out_needs_several_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, "--run", str(tmp_path), "--device", "cpu", "--sharded")
    assert "there is one" in said
    assert "torchrun" in said
