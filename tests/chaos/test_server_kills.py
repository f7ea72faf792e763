"""SIGKILL of workers and servers: no job is lost or runs twice, and no file is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server, wait_until
from fakes.machine_load import busy_share
from layert2v.stack import read
from layert2v.v1 import jobs_pb2
from layert2v_server.cli import main

pytestmark = pytest.mark.chaos

SLOW = Behaviour(step_s=0.05, frame_s=0.1)  # what a test waits for lasts for seconds
RUNNING, CANCELLED = jobs_pb2.JOB_STATE_RUNNING, jobs_pb2.JOB_STATE_CANCELLED
SUCCEEDED, FAILED = jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_FAILED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("kills") / "data", cancel_grace_s=30.0) as server:
        yield server


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def stage(name: str, at_least: int = 1) -> Callable[[Any], bool]:
    return lambda job: job.progress.stage == name and job.progress.done >= at_least


@pytest.mark.parametrize("where", ["denoise", "decode"])
def test_a_job_survives_the_kill_of_its_worker(server: LiveServer, where: str) -> None:
    job = server.submit(behaviour=SLOW, steps=40 if where == "denoise" else 2)
    server.wait(job.name, stage(where))
    first = server.worker()
    first.kill()
    job = server.wait_for_end(job.name)
    assert (job.state, job.attempt) == (SUCCEEDED, 2)
    assert server.worker().pid != first.pid
    stack = read(Path(job.local_path))
    assert [f.path for f in stack.files()] == [a.path for a in server.artifacts(job.name)][:-2]
    assert server.unpublished_files() == []


def test_both_attempts_make_the_same_files(server: LiveServer) -> None:
    calm = server.wait_for_end(server.submit(seed=5).name)
    job = server.submit(seed=5, behaviour=SLOW)
    server.wait(job.name, stage("decode"))
    server.worker().kill()
    shaken = server.wait_for_end(job.name)
    frames = [
        {f.path: f.sha256 for f in server.artifacts(j.name) if f.path.endswith(".exr")}
        for j in (calm, shaken)
    ]
    assert shaken.attempt == 2
    assert frames[0] == frames[1]


def test_a_job_that_kills_its_workers_is_put_into_quarantine(
    server: LiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    poison = server.submit(behaviour=Behaviour(fault="crash"))
    honest = server.submit()
    job = server.wait_for_end(poison.name)
    assert (job.state, job.error.reason, job.attempt) == (FAILED, "QUARANTINED", 2)
    assert job.quarantined
    assert "the last one was ended by signal 9 (SIGKILL)" in job.error.message
    assert server.wait_for_end(honest.name).state == SUCCEEDED
    request = jobs_pb2.ListJobsRequest(quarantined=True)
    assert [each.name for each in server.call(server.jobs.ListJobs, request).jobs] == [job.name]
    command = ["quarantine", "release", "--data", str(server.data), job.name]
    assert main(command) == 0  # while the server runs
    again = server.wait(job.name, lambda now: now.quarantined and now.attempt == 4)
    assert (again.state, again.max_attempts) == (FAILED, 5)
    assert main([*command[:1], "list", *command[2:4]]) == 0
    assert f"{job.name.removeprefix('jobs/')}  local  since" in capsys.readouterr().out
    assert server.unpublished_files() == []


def test_an_idle_worker_is_killed(server: LiveServer) -> None:
    server.wait_for_end(server.submit().name)
    idle = server.worker()
    idle.kill()
    idle.wait(30)  # it is gone when the server has seen that it is
    job = server.wait_for_end(server.submit().name)
    assert (job.state, job.attempt) == (SUCCEEDED, 1)


@pytest.mark.parametrize("where", ["denoise", "decode"])
def test_cancel_takes_effect_within_two_seconds(server: LiveServer, where: str) -> None:
    steps = 1000 if where == "denoise" else 2
    job = server.submit(behaviour=Behaviour(step_s=0.05, frame_s=0.2), steps=steps, frames=17)
    bystander = server.submit()
    server.wait(job.name, stage(where))
    worker = server.worker()
    cancelled = time.monotonic()
    server.cancel(job.name)
    job = server.wait_for_end(job.name)
    assert time.monotonic() - cancelled < 2 * busy_share()
    assert job.state == CANCELLED
    assert server.artifacts(job.name) == []
    assert server.wait_for_end(bystander.name).state == SUCCEEDED
    assert server.worker() == worker
    assert server.unpublished_files() == []


def test_a_worker_that_freezes_or_ignores_cancel_is_killed(tmp_path: Path) -> None:
    settings = {"max_attempts": 1, "cancel_grace_s": 0.3}
    with live_server(tmp_path / "frozen", lease_s=1.0, **settings) as server:
        job = server.wait_for_end(server.submit(behaviour=Behaviour(fault="freeze")).name)
        assert (job.state, job.error.reason) == (FAILED, "WORKER_CRASHED")
    with live_server(tmp_path / "data", **settings) as server:
        job = server.submit(behaviour=Behaviour(fault="ignore_cancel"), steps=1)
        server.wait(job.name, stage("denoise"))  # after its last step it hears nothing
        deaf = server.worker()
        server.cancel(job.name)
        assert server.wait_for_end(job.name).state == CANCELLED
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED
        assert server.worker() != deaf


@pytest.mark.parametrize("where", ["denoise", "decode"])
def test_a_job_survives_the_kill_of_its_server(tmp_path: Path, where: str) -> None:
    first = LiveServer(tmp_path / "data")
    before = first.wait_for_end(first.submit().name)
    once = {"request_id": "6fa459ea-ee8a-3ca4-894e-db77e160355e", "behaviour": SLOW, "steps": 40}
    running = first.submit(**once)
    waiting = first.submit()
    seen = first.wait(running.name, stage(where))
    orphan = first.worker()
    if where == "decode":
        orphan.suspend()  # what is stopped does not notice that its server is gone
    first.kill()
    wait_until(lambda: has_ended(orphan))
    with live_server(tmp_path / "data") as second:
        again = second.submit(**once)
        assert (again.name, again.spec) == (running.name, running.spec)
        updates = [u.job for u in second.watch(running.name, revision=seen.revision)]
        assert all(job.revision > seen.revision for job in updates)
        assert (updates[-1].state, updates[-1].attempt) == (SUCCEEDED, 2)
        read(Path(updates[-1].local_path))
        assert second.wait_for_end(waiting.name).state == SUCCEEDED
        assert second.get(before.name) == before
        assert second.read(second.artifacts(before.name)[3].name)[0].size_bytes == 1000
        assert second.unpublished_files() == []


def test_a_job_cancelled_before_the_kill_does_not_come_back(tmp_path: Path) -> None:
    first = LiveServer(tmp_path / "data", cancel_grace_s=60.0)
    job = first.submit(behaviour=Behaviour(fault="ignore_cancel"))
    first.wait(job.name, lambda job: job.state == RUNNING)
    first.cancel(job.name)
    first.kill()
    with live_server(tmp_path / "data") as second:
        assert second.wait_for_end(job.name).state == CANCELLED


def test_server_and_worker_are_killed_over_and_over(tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "data", max_attempts=20, max_worker_deaths=20)
    quick = Behaviour(step_s=0.05, frame_s=0.02)
    jobs = [server.submit(behaviour=quick, frames=1).name for _ in range(4)]
    for kill in range(4):
        time.sleep(0.15 * kill)
        victim = server.worker().pid if kill % 2 else server.process.pid
        os.kill(victim, signal.SIGKILL)
        if victim == server.process.pid:
            server.kill()
            server = LiveServer(tmp_path / "data", max_attempts=20, max_worker_deaths=20)
    ended = [server.wait_for_end(name) for name in jobs]
    assert [job.state for job in ended] == [SUCCEEDED] * 4
    for job in ended:
        assert len(server.artifacts(job.name)) == len(read(Path(job.local_path)).files()) + 2
    assert server.unpublished_files() == []
    assert server.stop() == 0


def test_sigterm_requeues_the_running_job(tmp_path: Path) -> None:
    first = LiveServer(tmp_path / "data")
    job = first.submit(behaviour=SLOW, steps=40)
    first.wait(job.name, stage("denoise"))
    watch = first.watch(job.name)
    next(watch)
    first.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as caught:
        list(watch)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert first.stop() == 0
    with live_server(tmp_path / "data") as second:
        job = second.wait_for_end(job.name)
        assert (job.state, job.attempt) == (SUCCEEDED, 1)
