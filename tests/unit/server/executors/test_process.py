"""Worker processes that do not start, or do not speak: an error with a sentence, never a hang."""

from __future__ import annotations

import asyncio
import resource
import sys

import pytest

from layert2v_server.config import Config
from layert2v_server.errors import EngineNotReady, ServerError, WorkerDied, WorkerLost
from layert2v_server.executors import process
from layert2v_server.executors.process import ProcessExecutor, device_groups, worker_command
from layert2v_server.worker.messages import Ready, RunJob, WorkerEnded, encode

READY = encode(Ready(models=[], device="cpu", memory_bytes=0)).decode().strip()
JOB = RunJob(job="j", job_kind="GENERATE", spec={}, folder="", source="", preview="")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def executor(command: list[str]) -> ProcessExecutor:
    return ProcessExecutor("cpu", command, heartbeat_timeout_s=2.0, cancel_grace_s=1.0)


def run_error(code: str, *, timeout_s: float = 30.0, **options: bool) -> WorkerLost:
    """Return the error of a worker that runs ``code`` where it has got a job."""
    ready = f"import os, signal, sys, time; print({READY!r}, flush=True); input()"

    async def run() -> WorkerLost:
        worker = ProcessExecutor(
            "cpu",
            python(f"{ready}\n{code}"),
            heartbeat_timeout_s=timeout_s,
            cancel_grace_s=1.0,
            **options,
        )
        await worker.ensure_ready()
        with pytest.raises(WorkerLost) as caught:
            async for _ in worker.run(JOB):
                pass
        await worker.close()
        return caught.value

    return asyncio.run(run())


def start_error(command: list[str]) -> ServerError:
    async def start() -> ServerError:
        worker = executor(command)
        with pytest.raises(ServerError) as caught:
            await worker.ensure_ready()
        assert worker.startup_error is caught.value
        await worker.close()
        return caught.value

    return asyncio.run(start())


def test_devices_in_a_row_are_one_worker() -> None:
    config = Config(devices=("cuda:0", "cuda:1", "cuda:2", "cuda:3"), devices_per_job=2)
    groups = device_groups(config)
    assert groups == [("cuda:0", "cuda:1"), ("cuda:2", "cuda:3")]
    command = " ".join(worker_command(config, groups[1]))
    assert "--device cuda:2 " in command
    assert "--share-with cuda:3 --parallel ulysses" in command
    assert "--share-with" not in worker_command(Config(), device_groups(Config())[0])


def test_a_program_that_is_missing() -> None:
    error = start_error(["/nowhere/python"])
    assert isinstance(error, EngineNotReady)
    assert "No such file" in error.message


@pytest.mark.parametrize(
    "code", ["import no_such_module", "raise SystemExit(3)", "import os; os.abort()", "pass"]
)
def test_a_worker_that_ends_before_it_is_ready(code: str) -> None:
    assert isinstance(start_error(python(code)), WorkerLost)


@pytest.mark.parametrize(
    "code", ["print('hello')", "print('[]')", "print('x' * (20 << 20))", "print('{\"a\": NaN}')"]
)
def test_a_worker_that_says_something_else(code: str) -> None:
    assert "unexpected message" in start_error(python(code)).message


def test_a_system_without_processes_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    error = start_error(python("pass"))
    assert isinstance(error, EngineNotReady)
    assert error.hint


def test_a_system_without_descriptors_to_give() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def start() -> None:
        worker = executor(python(f"print({READY!r}, flush=True); input()"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(EngineNotReady, match="Too many open files"):
                await worker.ensure_ready()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (await worker.ensure_ready()).device == "cpu"  # as soon as there are some
        await worker.close()

    asyncio.run(start())


def test_a_worker_whose_child_holds_its_output_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "CLOSE_GRACE_S", 0.2)
    code = (
        "import subprocess, sys;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(5)']);"
        f"print({READY!r}, flush=True)"
    )

    async def run() -> None:
        worker = executor(python(code))
        await worker.ensure_ready()
        with pytest.raises(WorkerLost):
            async for _ in worker.run(JOB):
                pass
        assert worker.worker_info is None
        assert "does not end" not in caplog.text

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("os._exit(3)", "ended with exit code 3"),
        ("os.abort()", "was ended by signal 6 (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9 (SIGKILL), which"),
        ("time.sleep(60)", "sent nothing for 3 s and was killed"),
    ],
)
def test_a_worker_that_dies_with_its_job_says_how(code: str, what: str) -> None:
    error = run_error(code, timeout_s=3.0 if "sleep" in code else 30.0)
    assert isinstance(error, WorkerDied)
    assert error.what.startswith(what)


@pytest.mark.parametrize(
    "code", ["os.kill(os.getpid(), signal.SIGTERM)", "print('hello', flush=True)"]
)
def test_a_worker_that_gets_sigterm_has_not_died(code: str) -> None:
    assert type(run_error(code)) is WorkerLost


def test_the_end_of_a_process_that_speaks_for_a_worker_is_no_death() -> None:
    assert type(run_error("os._exit(1)", runs_elsewhere=True)) is WorkerLost
    line = encode(WorkerEnded(exit_code=-11)).decode().strip()
    error = run_error(f"print({line!r}, flush=True)", runs_elsewhere=True)
    assert isinstance(error, WorkerDied)
    assert error.what == "was ended by signal 11 (SIGSEGV)"
