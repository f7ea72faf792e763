"""Worker messages, and what the runner makes of an engine's fortunes."""

from __future__ import annotations

import errno
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fakes.fake_engine import Behaviour, FakeEngine, FakeError
from layert2v import stack as manifest
from layert2v.spec import GenerateSpec, spec_to_json
from layert2v.stack import FileRecord
from layert2v.wire import MAX_PREVIEW_BYTES
from layert2v_server.domain.request import JobKind
from layert2v_server.worker.messages import (
    CancelJob,
    Failed,
    Finished,
    Heartbeat,
    Message,
    ProgressReport,
    RunJob,
    Stopped,
    decode,
    encode,
)
from layert2v_server.worker.preview import shrink_to_png, write_preview
from layert2v_server.worker.runner import outcome_of_error, run_job

TEXT = st.text(max_size=20)
COUNT = st.integers(0, 10**6)
PROGRESS = st.builds(
    ProgressReport,
    job=TEXT,
    stage=TEXT,
    done=COUNT,
    total=COUNT,
    message=TEXT,
    fraction=st.floats(0, 1),
    eta_s=st.none() | st.floats(0, 1e6),
    preview=st.booleans(),
)
RUN = st.builds(
    RunJob,
    job=TEXT,
    job_kind=TEXT,
    spec=st.dictionaries(TEXT, COUNT | TEXT),
    folder=TEXT,
    source=TEXT,
    preview=TEXT,
)
FAILED = st.builds(
    Failed, job=TEXT, reason=TEXT, message=TEXT, hint=TEXT, worker_exits=st.booleans()
)


@given(PROGRESS | RUN | FAILED | st.builds(CancelJob, job=TEXT) | st.builds(Heartbeat, job=TEXT))
def test_messages_survive_the_pipe(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b'"RunJob"', b'{"kind":"RunJob"}', b'{"kind":"Quit","job":"x"}', b"\xff\n"],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


def a_run(folder: Path, behaviour: Behaviour | None = None, **spec: Any) -> RunJob:
    asked = GenerateSpec(
        prompt="a fox",
        negative_prompt="" if behaviour is None else behaviour.to_prompt(),
        **{"width": 64, "height": 64, "frames": 2, "fps": 12.0, "steps": 3, "seed": 1, **spec},
    )
    return RunJob(
        job="j",
        job_kind=JobKind.GENERATE,
        spec=spec_to_json(asked),
        folder=str(folder / "attempt_1"),
        source=str(folder / "source"),
        preview=str(folder / "preview.png"),
    )


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(None, "cpu")


def test_a_job_ends_with_its_files(tmp_path: Path, engine: FakeEngine) -> None:
    sent: list[ProgressReport] = []
    ending = run_job(engine, a_run(tmp_path), sent.append, lambda: False)
    assert isinstance(ending, Finished)
    stack = manifest.read(tmp_path / "attempt_1")
    files = [FileRecord(**file) for file in ending.files]
    assert files[:-2] == list(stack.files())
    assert [file.path for file in files[-2:]] == ["history/v001.json", "stack.json"]
    assert all((tmp_path / "attempt_1" / f.path).stat().st_size == f.size_bytes for f in files)
    assert ending.preview
    assert (tmp_path / "preview.png").exists()


def test_reports_are_few_but_every_stage_is_told(tmp_path: Path, engine: FakeEngine) -> None:
    sent: list[ProgressReport] = []
    run_job(engine, a_run(tmp_path, steps=500), sent.append, lambda: False)
    assert [(p.stage, p.done, p.preview) for p in sent] == [
        ("denoise", 1, False),
        ("decode", 1, True),
    ]


@pytest.mark.parametrize("fault", ["engine_error", "unexpected_error", "out_of_memory"])
def test_after_a_failure_nothing_is_left(tmp_path: Path, engine: FakeEngine, fault: str) -> None:
    ending = run_job(engine, a_run(tmp_path, Behaviour(fault=fault)), print, lambda: False)
    assert isinstance(ending, Failed)
    assert ending.worker_exits == (fault != "engine_error")
    assert "secret" not in str(asdict(ending))
    assert not (tmp_path / "attempt_1").exists()


def test_a_cancelled_job_stops_and_leaves_nothing(tmp_path: Path, engine: FakeEngine) -> None:
    asked = iter([False] * 8 + [True])
    ending = run_job(engine, a_run(tmp_path), lambda _: None, lambda: next(asked))
    assert ending == Stopped(job="j")
    assert not (tmp_path / "attempt_1").exists()


def test_a_full_disk_is_seen_behind_other_errors() -> None:
    full = OSError(errno.ENOSPC, "no space")
    wrapped = RuntimeError("cannot write")
    wrapped.__cause__ = full
    foreign = RuntimeError("I/O error: No space left on device (os error 28)")
    for error in (full, wrapped, foreign, FakeError("DISK_FULL", "full")):
        ending = outcome_of_error("j", error)
        assert isinstance(ending, Failed)
        assert (ending.reason, ending.worker_exits) == ("DISK_FULL", False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/data/jobs/1/stack/bg.exr could not be written.", "bg.exr could not be written."),
        ("There is no model in '/models/wan'.", "There is no model in 'wan'."),
        ("Use 24 or 12.5 frames/s and/or 3/4.", "Use 24 or 12.5 frames/s and/or 3/4."),
    ],
)
def test_callers_do_not_learn_our_paths(text: str, told: str) -> None:
    ending = outcome_of_error("j", FakeError("X", text))
    assert isinstance(ending, Failed)
    assert ending.message == told


def test_an_engine_error_keeps_its_words() -> None:
    ending = outcome_of_error("j", FakeError("NO_SUCH_WORD", "Unknown word.", "Use another."))
    assert ending == Failed(
        job="j",
        reason="NO_SUCH_WORD",
        message="Unknown word.",
        hint="Use another.",
        worker_exits=False,
    )


def test_large_previews_become_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 1400, 4), np.uint8)
    Image.fromarray(noise).save(tmp_path / "big.png")
    data = shrink_to_png((tmp_path / "big.png").read_bytes())
    assert len(data) <= MAX_PREVIEW_BYTES
    width, height = Image.open(io.BytesIO(data)).size
    assert width / height == pytest.approx(1400 / 900, rel=0.02)


def test_a_picture_that_is_none_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "not.png").write_text("no picture")
    assert not write_preview(tmp_path / "not.png", tmp_path / "preview.png")
    assert not write_preview(tmp_path / "absent.png", tmp_path / "preview.png")
    assert not (tmp_path / "preview.png").exists()
