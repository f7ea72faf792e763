"""Running a job: its files, its progress, and the outcome of each error of an engine."""

from __future__ import annotations

import errno
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_engine import Behaviour, FakeEngine, FakeError
from layert2v import stack as manifest
from layert2v.spec import GenerateSpec, spec_to_json
from layert2v.stack import FileRecord
from layert2v_server.domain.request import JobKind
from layert2v_server.worker import runner
from layert2v_server.worker.messages import (
    Failed,
    Finished,
    ProgressReport,
    RunJob,
    Stopped,
)
from layert2v_server.worker.runner import outcome_of_error, run_job


def run_command(folder: Path, behaviour: Behaviour | None = None, **spec: Any) -> RunJob:
    generate = GenerateSpec(
        prompt="a fox",
        negative_prompt="" if behaviour is None else behaviour.to_prompt(),
        **{"width": 64, "height": 64, "frames": 2, "fps": 12.0, "steps": 3, "seed": 1, **spec},
    )
    return RunJob(
        job="j",
        job_kind=JobKind.GENERATE,
        spec=spec_to_json(generate),
        folder=str(folder / "attempt_1"),
        source=str(folder / "source"),
        preview=str(folder / "preview.png"),
    )


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(None, "cpu")


def test_a_job_ends_with_its_files(tmp_path: Path, engine: FakeEngine) -> None:
    sent: list[ProgressReport] = []
    outcome = run_job(engine, run_command(tmp_path), sent.append, lambda: False)
    assert isinstance(outcome, Finished)
    stack = manifest.read(tmp_path / "attempt_1")
    files = [FileRecord(**file) for file in outcome.files]
    assert files[:-2] == list(stack.files())
    assert [file.path for file in files[-2:]] == ["history/v001.json", "stack.json"]
    assert all((tmp_path / "attempt_1" / f.path).stat().st_size == f.size_bytes for f in files)
    assert outcome.preview
    assert (tmp_path / "preview.png").exists()


def test_progress_is_throttled_but_every_stage_is_reported(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "MIN_REPORT_INTERVAL_S", 60.0)
    sent: list[ProgressReport] = []
    run_job(engine, run_command(tmp_path, steps=500), sent.append, lambda: False)
    assert [(p.stage, p.done, p.preview) for p in sent] == [
        ("denoise", 1, False),
        ("decode", 1, True),
    ]


@pytest.mark.parametrize("fault", ["engine_error", "unexpected_error", "out_of_memory"])
def test_a_failed_job_leaves_no_files(tmp_path: Path, engine: FakeEngine, fault: str) -> None:
    outcome = run_job(engine, run_command(tmp_path, Behaviour(fault=fault)), print, lambda: False)
    assert isinstance(outcome, Failed)
    assert outcome.worker_exits == (fault != "engine_error")
    assert "secret" not in str(asdict(outcome))
    assert not (tmp_path / "attempt_1").exists()


def test_a_cancelled_job_leaves_no_files(tmp_path: Path, engine: FakeEngine) -> None:
    answers = iter([False] * 8 + [True])
    outcome = run_job(engine, run_command(tmp_path), lambda _: None, lambda: next(answers))
    assert outcome == Stopped(job="j")
    assert not (tmp_path / "attempt_1").exists()


def test_a_full_disk_is_recognized_behind_other_errors() -> None:
    full = OSError(errno.ENOSPC, "no space")
    wrapped = RuntimeError("cannot write")
    wrapped.__cause__ = full
    foreign = RuntimeError("I/O error: No space left on device (os error 28)")
    for error in (full, wrapped, foreign, FakeError("DISK_FULL", "full")):
        outcome = outcome_of_error("j", error)
        assert isinstance(outcome, Failed)
        assert (outcome.reason, outcome.worker_exits) == ("DISK_FULL", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/jobs/1/stack/bg.exr could not be written.", "bg.exr could not be written."),
        ("There is no model in '/models/wan'.", "There is no model in 'wan'."),
        ("Use 24 or 12.5 frames/s and/or 3/4.", "Use 24 or 12.5 frames/s and/or 3/4."),
    ],
)
def test_paths_are_stripped_from_messages(text: str, expected: str) -> None:
    outcome = outcome_of_error("j", FakeError("X", text))
    assert isinstance(outcome, Failed)
    assert outcome.message == expected


def test_an_engine_error_keeps_its_message() -> None:
    outcome = outcome_of_error("j", FakeError("NO_SUCH_WORD", "Unknown word.", "Use another."))
    assert outcome == Failed(
        job="j",
        reason="NO_SUCH_WORD",
        message="Unknown word.",
        hint="Use another.",
        worker_exits=False,
    )
