"""The command line: what it asks for, what it says, how it ends."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fakes.example_stack import example_stack
from fakes.number_options import accept_hostile, are_sane, number_options
from fakes.scripted_server import Script, ScriptedServer, update
from layert2v import stack
from layert2v.v1 import errors_pb2, jobs_pb2, server_pb2
from layert2v.wire import spec_from_message
from layert2v_client.cli import main

NAME = "jobs/1"


@pytest.fixture(autouse=True)
def _change_to_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ready(script: Script, server: ScriptedServer) -> ScriptedServer:
    """Return a server whose next job succeeds and has a stack."""
    script.files = {"stack.json": stack.dumps(example_stack()).encode(), "bg/a.exr": b"pixels"}
    running = update(NAME, 2, jobs_pb2.JOB_STATE_RUNNING)
    running.job.progress.CopyFrom(jobs_pb2.Progress(stage="denoise", done=1, total=4, fraction=0.2))
    script.updates = [running, update(NAME, 3, jobs_pb2.JOB_STATE_SUCCEEDED)]
    return server


def call(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    out, err = io.StringIO(), io.StringIO()
    code = main.run(main.parser().parse_args(arguments), environment or {}, out, err)
    return code, out.getvalue(), err.getvalue()


def test_generate(ready: ScriptedServer, tmp_path: Path) -> None:
    code, out, err = call("generate", "a red fox!", "--server", ready.address)
    assert (code, out) == (0, "a_red_fox_001\n")
    assert sorted(p.name for p in (tmp_path / "a_red_fox_001").iterdir()) == ["bg", "stack.json"]
    for words in (
        "job jobs/1",
        "denoising 1/4",
        "understood as: fox, snow",
        "warning: 'red'",
        "bg",
    ):
        assert words in err


def test_every_option_reaches_the_server(ready: ScriptedServer) -> None:
    options = "--size 128x96 --frames 9 --fps 12.5 --seed 7 --steps 4 --guidance 0 --model wan"
    more = "--colorspace lin_ap1_scene --start-frame 0 --out there --background snow --negative mud"
    layers = ("--foreground", "a fox", "--foreground", "an owl")
    words = (*options.split(), *more.split(), *layers)
    assert call("generate", "a fox", "--server", ready.address, *words)[0] == 0
    (asked,) = (spec_from_message(message) for message in ready.script.submitted)
    assert (asked.width, asked.height, asked.frames, asked.fps) == (128, 96, 9, 12.5)
    assert (asked.seed, asked.steps, asked.guidance, asked.model) == (7, 4, 0.0, "wan")
    assert (asked.colorspace, asked.start_frame) == ("lin_ap1_scene", 0)
    assert (asked.background_prompt, asked.negative_prompt) == ("snow", "mud")
    assert asked.foreground_prompts == ("a fox", "an owl")
    assert Path("there/stack.json").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--size", "96"], "argument --size: write '96' as WIDTHxHEIGHT, such as 96x96"),
        (["--frames", "0"], "argument --frames: '0' must be a whole number from 1 on"),
        (["--fps", "fast"], "argument --fps: 'fast' must be a number from 0 on"),
        (["--seed", "-1"], "argument --seed: '-1' must be a whole number from 0 on"),
        (["--seed", "1.5"], "argument --seed: '1.5' must be a whole number from 0 on"),
        (["--seed", "9" * 20], f"argument --seed: '{'9' * 20}' must be at most {2**63 - 1}"),
        (["--seed", "9" * 19], f"argument --seed: '{'9' * 19}' must be at most {2**63 - 1}"),
        (["--start-frame", "1000000"], "--start-frame: '1000000' must be at most 999999"),
        (["--colour", "x"], "unrecognized arguments: --colour x"),
    ],
)
def test_one_sentence_about_a_wrong_option(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["generate", "a fox", *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_wrong_fields_are_named_by_their_options(ready: ScriptedServer) -> None:
    violations = [
        errors_pb2.FieldViolation(field="width", message="The width must be even."),
        errors_pb2.FieldViolation(field="foreground_prompts[1]", message="Say something."),
        errors_pb2.FieldViolation(field="steps", message="Fewer."),
    ]
    detail = errors_pb2.ErrorDetail(
        reason="SPEC_REJECTED", message="The request cannot be answered.", violations=violations
    )
    ready.script.refuse = [(grpc.StatusCode.INVALID_ARGUMENT, detail)]
    code, out, err = call("generate", "a fox", "--server", ready.address)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "layert2v: The request cannot be met:",
        "  --size: The width must be even.",
        "  --foreground: Say something.",
        "  --steps: Fewer.",
    ]
    assert not Path("a_fox_001").exists()


def test_a_folder_with_something_in_it_is_refused_before_any_work(ready: ScriptedServer) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    code, _, err = call("generate", "a fox", "--server", ready.address, "--out", "full")
    assert (code, ready.script.submitted) == (2, [])
    assert (
        err == "layert2v: full has something in it. Choose a new or an empty folder with --out.\n"
    )
    code, _, err = call("generate", "a fox", "--server", ready.address, "--out", "full/file")
    assert code == 2
    assert "cannot be made" in err


def test_a_job_that_fails(ready: ScriptedServer) -> None:
    failed = update(NAME, 3, jobs_pb2.JOB_STATE_FAILED)
    failed.job.error.CopyFrom(errors_pb2.ErrorDetail(message="No memory.", hint="Make it smaller."))
    ready.script.updates = [failed]
    code, _, err = call("generate", "a fox", "--server", ready.address)
    assert code == 1
    assert err.endswith("layert2v: No memory. Make it smaller.\n")


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[float], None]]:
    """Return a function that interrupts this process after some seconds.

    A process that was started in the background or by nohup has SIGINT ignored, pytest included.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda delay_s: threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT)).start()
    signal.signal(signal.SIGINT, previous)


def test_ctrl_c_cancels_the_job(ready: ScriptedServer, ctrl_c: Callable[[float], None]) -> None:
    ready.script.updates.pop()
    ready.script.cancelled_update = update(NAME, 3, jobs_pb2.JOB_STATE_CANCELLED)
    ctrl_c(0.7)
    code, out, err = call("generate", "a fox", "--server", ready.address)
    assert (code, out, ready.script.cancelled) == (130, "", [NAME])
    assert err.endswith("Cancelling the job ...\nThe job is cancelled.\n")
    assert not Path("a_fox_001").exists()


def test_ctrl_c_leaves_a_watched_job_alone(
    ready: ScriptedServer, ctrl_c: Callable[[float], None]
) -> None:
    call("generate", "a fox", "--server", ready.address)
    ready.script.updates = [update(NAME, 5, jobs_pb2.JOB_STATE_RUNNING)]
    ctrl_c(0.5)
    code, _, err = call("watch", NAME, "--server", ready.address)
    assert (code, ready.script.cancelled) == (130, [])
    assert "left alone" in err


def test_watch_cancel_and_fetch(ready: ScriptedServer) -> None:
    call("generate", "a fox", "--server", ready.address)
    assert call("watch", NAME, "--server", ready.address)[:2] == (0, "succeeded\n")
    assert call("cancel", NAME, "--server", ready.address)[:2] == (0, "succeeded\n")
    code, out, _ = call("fetch", NAME, "--server", ready.address, "--out", "again")
    assert (code, out) == (0, "again\n")
    assert Path("again/bg/a.exr").read_bytes() == b"pixels"


def test_delete(ready: ScriptedServer) -> None:
    for k in (1, 2, 3):
        ready.script.jobs[f"jobs/{k}"] = jobs_pb2.Job(name=f"jobs/{k}")
    words = ("delete", "jobs/1", "jobs/3", "--server", ready.address)
    assert call(*words)[:2] == (0, "jobs/1\njobs/3\n")
    assert list(ready.script.jobs) == ["jobs/2"]
    code, _, err = call(*words)
    assert (code, err) == (2, "layert2v: There is no such job.\n")


@pytest.mark.parametrize("command", ["jobs", "watch", "cancel", "fetch", "delete"])
def test_a_command_about_earlier_jobs_needs_a_server(command: str) -> None:
    code, _, err = call(command, *([] if command == "jobs" else [NAME]))
    assert (code, "--server HOST:PORT" in err) == (2, True)


def test_fetch_names_the_folder_after_the_prompt(ready: ScriptedServer) -> None:
    job = jobs_pb2.Job(name=NAME, state=jobs_pb2.JOB_STATE_SUCCEEDED)
    job.spec.prompt = "ÜBER!"
    ready.script.jobs[NAME] = job
    assert call("fetch", NAME, "--server", ready.address)[:2] == (0, "ber_001\n")


def test_jobs(ready: ScriptedServer) -> None:
    for k in (1, 2, 3):
        job = jobs_pb2.Job(name=f"jobs/{k}", state=jobs_pb2.JOB_STATE_QUEUED)
        job.spec.prompt = "a fox\nin  snow"
        job.create_time.FromJsonString("2026-01-02T03:04:05Z")
        ready.script.jobs[job.name] = job
    code, out, _ = call("jobs", "--server", ready.address, "--limit", "2")
    rows = out.splitlines()
    assert (code, len(rows)) == (0, 2)
    assert rows[0].startswith("jobs/1  queued ")
    assert rows[0].endswith("a fox in snow")


def test_jobs_tell_their_place_and_their_end(ready: ScriptedServer) -> None:
    queued = jobs_pb2.Job(name="jobs/1", state=jobs_pb2.JOB_STATE_QUEUED)
    queued.queue_position, queued.start_eta_s = 2, 70.0
    running = jobs_pb2.Job(name="jobs/2", state=jobs_pb2.JOB_STATE_RUNNING)
    running.progress.eta_s = 9.0
    ready.script.jobs = {job.name: job for job in (queued, running)}
    _, out, _ = call("jobs", "--server", ready.address)
    assert "jobs/1  queued, 2 ahead, starts in 1:10  " in out
    assert "jobs/2  running, 9 s left " in out


def test_a_priority_reaches_the_server(ready: ScriptedServer) -> None:
    words = ("generate", "a fox", "--server", ready.address)
    assert call(*words, "--priority", "high", "--out", "a")[0] == 0
    assert call(*words, "--out", "b")[0] == 0
    assert ready.script.priorities == [jobs_pb2.JOB_PRIORITY_HIGH, jobs_pb2.JOB_PRIORITY_NORMAL]


def test_info(ready: ScriptedServer) -> None:
    model = server_pb2.Model(name="mini", title="Mini", default_width=96, default_fps=12.5)
    model.vocabulary["subject"].words.extend(["fox", "owl"])
    devices = [server_pb2.Device(name="cpu", ready=True), server_pb2.Device(name="gpu")]
    ready.script.info = server_pb2.ServerInfo(version="0.1.0", models=[model], devices=devices)
    code, out, _ = call("info", "--server", ready.address)
    assert code == 0
    for words in ("server 0.1.0", "cpu, ready", "gpu, not ready", "mini: Mini", "fox, owl", "12.5"):
        assert words in out


def test_names_tokens_and_addresses_that_are_wrong(ready: ScriptedServer) -> None:
    code, _, err = call("watch", "jobs/none", "--server", ready.address)
    assert (code, err) == (2, "layert2v: There is no such job.\n")
    code, _, err = call("jobs", "--server", "render01")
    assert (code, "HOST:PORT" in err) == (2, True)
    code, _, err = call("jobs", "--server", "127.0.0.1:1")
    assert (code, "127.0.0.1:1 does not answer" in err) == (3, True)
    ready.script.bearer = "open sesame"
    code, _, err = call("jobs", "--server", ready.address)
    assert (code, "LAYERT2V_TOKEN" in err) == (2, True)


def test_the_token_comes_from_the_environment_or_the_option(ready: ScriptedServer) -> None:
    bearer = ready.script.bearer = "open sesame"
    right, wrong = {"LAYERT2V_TOKEN": bearer}, {"LAYERT2V_TOKEN": "open barley"}
    words = ("jobs", "--server", ready.address)
    assert call(*words, environment=right)[0] == 0
    assert call(*words, environment=wrong)[0] == 2
    assert call(*words, "--token", bearer, environment=wrong)[0] == 0


def test_a_manifest_from_the_future(ready: ScriptedServer) -> None:
    manifest = ready.script.files["stack.json"]
    ready.script.files["stack.json"] = manifest.replace(b'version": 2', b'version": 9', 1)
    code, _, err = call("generate", "a fox", "--server", ready.address)
    assert code == 1
    assert "Update LayerT2V to open it." in err


def test_help_tells_exit_codes_and_environment(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["generate", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main.main(words)
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert "exit codes:" in said
        assert "LAYERT2V_CONFIG" in said


def test_main_puts_signals_in_order(ready: ScriptedServer, capsys: Any) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        ready.script.updates.pop()
        ready.script.cancelled_update = update(NAME, 3, jobs_pb2.JOB_STATE_CANCELLED)
        assert main.main(["generate", "a fox", "--server", ready.address]) == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert "The job is cancelled." in capsys.readouterr().err


def test_no_option_takes_a_number_that_is_none() -> None:
    options = dict(number_options(main.parser()))
    assert len(options) > 20
    wrong = {name: accept_hostile(read) for name, read in options.items()}
    assert {name: values for name, values in wrong.items() if not are_sane(values)} == {}
