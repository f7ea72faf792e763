"""The scheduler with executors in this process: outcomes, retries, cancel, leases, full disks."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from fakes.fake_engine import MODEL, Behaviour
from fakes.inline_server import FlakyExecutor, InlineServer, run_scenario
from layert2v.stack import read
from layert2v_server.domain.state import JobState
from layert2v_server.errors import WorkerDied
from layert2v_server.service.scheduler import MAX_IDLE_STARTS


def attempts(server: InlineServer) -> list[Path]:
    return list(server.artifacts.root.glob("*/attempt_*"))


def test_jobs_run_one_after_the_other(server: InlineServer) -> None:
    jobs = [server.enqueue(), server.enqueue()]

    async def scenario() -> None:
        ended = [await server.wait(job) for job in jobs]
        assert [job.state for job in ended] == [JobState.SUCCEEDED] * 2
        for job in ended:
            stack = read(server.artifacts.stack_folder(job.id))
            assert job.artifact_count == len(stack.files()) + 2  # and two manifests
        assert server.store.list_models() == (MODEL,)

    run_scenario(server, scenario)
    assert attempts(server) == []


def test_a_lost_job_runs_again(server: InlineServer, executor: FlakyExecutor) -> None:
    executor.losses = 2
    job = server.enqueue()

    async def scenario() -> None:
        ended = await server.wait(job)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 3)

    run_scenario(server, scenario)


def test_a_job_that_kills_every_worker_fails(server: InlineServer, executor: FlakyExecutor) -> None:
    executor.losses = 3
    job = server.enqueue()

    async def scenario() -> None:
        ended = await server.wait(job)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 3)
        assert ended.failure is not None
        assert ended.failure.reason == "WORKER_CRASHED"

    run_scenario(server, scenario)
    assert attempts(server) == []


def test_a_job_of_which_workers_die_is_in_quarantine(
    server: InlineServer, executor: FlakyExecutor
) -> None:
    executor.errors = [WorkerDied("ended with exit code 3"), WorkerDied("ended with exit code 4")]
    job = server.enqueue()
    source = server.artifacts.source_folder(job)
    source.mkdir(parents=True)

    async def scenario() -> None:
        ended = await server.wait(job)
        assert (ended.state, ended.attempt, ended.is_quarantined) == (JobState.FAILED, 2, True)
        assert ended.failure is not None
        assert ended.failure.reason == "QUARANTINED"
        assert "2 workers died with it; the last one ended with exit code 3." in (
            ended.failure.message
        )
        assert f"layert2v-server quarantine release {job}" in ended.failure.hint
        assert "log has the details, under request 0" in ended.failure.hint
        assert source.is_dir()
        await server.monitor.update(server.store.release, job)
        assert (await server.wait(job)).state is JobState.SUCCEEDED
        while source.exists():  # deleted when the end is stored; a scenario has half a minute
            await asyncio.sleep(0.01)

    run_scenario(server, scenario)


def test_an_engine_error_is_final(server: InlineServer) -> None:
    job = server.enqueue(Behaviour(fault="engine_error"))

    async def scenario() -> None:
        ended = await server.wait(job)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
        assert ended.failure is not None
        assert (ended.failure.reason, ended.failure.hint) == ("NO_SUCH_WORD", "Use another word.")

    run_scenario(server, scenario)


def test_cancel_stops_only_its_job(server: InlineServer) -> None:
    first, second = server.enqueue(Behaviour(step_s=0.05), steps=1000), server.enqueue()

    async def scenario() -> None:
        await server.wait(first, lambda job: job.progress.done > 0)
        await server.monitor.update(server.store.cancel, first)
        assert (await server.wait(first)).state is JobState.CANCELLED
        assert (await server.wait(second)).state is JobState.SUCCEEDED

    run_scenario(server, scenario)
    assert attempts(server) == []


def test_closing_requeues_the_running_job(server: InlineServer) -> None:
    job = server.enqueue(Behaviour(step_s=0.05), steps=1000)

    async def scenario() -> None:
        await server.wait(job, lambda job: job.progress.done > 0)
        await server.scheduler.close()
        drained = server.store.get(job)
        assert (drained.state, drained.attempt) == (JobState.QUEUED, 0)

    run_scenario(server, scenario)
    assert attempts(server) == []


def test_a_disk_that_fails_does_not_keep_a_server_from_closing(
    server: InlineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = server.enqueue(Behaviour(step_s=0.05), steps=1000)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(server.artifacts, "suspend_attempt", fail)

    async def scenario() -> None:
        await server.wait(job, lambda job: job.progress.done > 0)
        async with asyncio.timeout(10):
            await server.scheduler.close()
        assert server.store.get(job).state is JobState.QUEUED

    run_scenario(server, scenario)


def test_a_disk_that_fails_at_the_end_of_an_attempt_too(
    server: InlineServer, executor: FlakyExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(server.artifacts, "clear_attempt", fail)
    executor.errors = [OSError(errno.EIO, "Input/output error")]
    job = server.enqueue()

    async def scenario() -> None:
        ended = await server.wait(job)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)

    run_scenario(server, scenario)


def test_too_little_space_fails_the_job(tmp_path: Path, executor: FlakyExecutor) -> None:
    server = InlineServer(tmp_path, executor, min_free_bytes=1 << 62)
    job = server.enqueue()

    async def scenario() -> None:
        ended = await server.wait(job)
        assert ended.failure is not None
        assert ended.failure.reason == "DISK_FULL"

    run_scenario(server, scenario)


def test_a_cancelled_job_of_a_server_that_is_gone_leaves_nothing(server: InlineServer) -> None:
    job = server.enqueue()
    assert server.store.claim("gone", 30.0) is not None
    server.store.cancel(job)
    server.artifacts.prepare_attempt(job, 1)
    server.artifacts.attempt_folder(job, 1).mkdir(parents=True)
    server.store.expire_all_leases()

    async def scenario() -> None:
        assert (await server.wait(job)).state is JobState.CANCELLED
        while list((server.artifacts.root / job).iterdir()):
            await asyncio.sleep(0.02)

    run_scenario(server, scenario)


def test_an_attempt_that_lost_its_lease_is_dropped(server: InlineServer) -> None:
    job = server.enqueue(Behaviour(step_s=0.3), steps=1000)

    async def scenario() -> None:
        started = await server.wait(job, lambda job: job.progress.done > 0)
        # As if the clock had jumped: another worker may take the job at any time.
        await server.monitor.update(server.store.requeue, job, started.attempt)
        await server.monitor.update(server.store.cancel, job)
        assert (await server.wait(job)).state is JobState.CANCELLED
        other = server.enqueue()
        assert (await server.wait(other)).state is JobState.SUCCEEDED

    run_scenario(server, scenario)


ERRORS = [
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)),
    MemoryError(),
    ValueError("a programming error"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_an_attempt_raises_fails_that_attempt(
    server: InlineServer, executor: FlakyExecutor, error: Exception
) -> None:
    executor.errors = [error] * 3
    job, next_job = server.enqueue(), server.enqueue()

    async def scenario() -> None:
        ended = await server.wait(job)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 3)
        assert ended.failure is not None
        assert ended.failure.reason == "SERVER_ERROR"
        assert (getattr(error, "strerror", None) or "") in ended.failure.message
        assert (await server.wait(next_job)).state is JobState.SUCCEEDED

    run_scenario(server, scenario)
    assert attempts(server) == []


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_the_start_of_a_worker_raises_is_tried_again(
    server: InlineServer, executor: FlakyExecutor, error: Exception
) -> None:
    executor.start_errors = [error]
    job = server.enqueue()

    async def scenario() -> None:
        assert (await server.wait(job)).state is JobState.SUCCEEDED

    run_scenario(server, scenario)


def test_a_folder_of_jobs_that_is_gone_fails_the_attempt(server: InlineServer) -> None:
    job = server.enqueue()
    server.artifacts.root.rmdir()
    server.artifacts.root.write_text("a file, as after a wrong copy")

    async def scenario() -> None:
        ended = await server.wait(job)
        assert ended.failure is not None
        assert ended.failure.reason == "STORAGE_FAILED"
        server.artifacts.root.unlink()
        server.artifacts.root.mkdir()
        assert (await server.wait(server.enqueue())).state is JobState.SUCCEEDED

    run_scenario(server, scenario)


def test_workers_that_end_at_once_are_started_less_and_less_often(
    server: InlineServer, executor: FlakyExecutor
) -> None:
    executor.ends_idle = True

    async def scenario() -> None:
        await asyncio.sleep(2.5)
        assert executor.starts <= MAX_IDLE_STARTS + 2
        executor.ends_idle = False
        assert (await server.wait(server.enqueue())).state is JobState.SUCCEEDED

    run_scenario(server, scenario)
