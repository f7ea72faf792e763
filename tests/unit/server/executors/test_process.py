"""Worker processes that do not start, or do not speak: an error with a sentence, never a hang."""

from __future__ import annotations

import asyncio
import resource
import sys

import pytest

from layert2v_server.errors import EngineNotReady, ServerError, WorkerLost
from layert2v_server.executors import process
from layert2v_server.executors.process import ProcessExecutor
from layert2v_server.worker.messages import Ready, RunJob, encode

READY = encode(Ready(models=[], device="cpu", memory_bytes=0)).decode().strip()
JOB = RunJob(job="j", job_kind="GENERATE", spec={}, folder="", source="", preview="")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def executor(command: list[str]) -> ProcessExecutor:
    return ProcessExecutor("cpu", command, heartbeat_timeout_s=2.0, cancel_grace_s=1.0)


def start_error(command: list[str]) -> ServerError:
    async def start() -> ServerError:
        worker = executor(command)
        with pytest.raises(ServerError) as caught:
            await worker.ensure_ready()
        assert worker.startup_error is caught.value
        await worker.close()
        return caught.value

    return asyncio.run(start())


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
