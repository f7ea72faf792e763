"""A full disk: a small file system of the test's own, where it may mount one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, error_detail, live_server, wait_until
from fakes.small_disk import small_disk
from layert2v.v1 import jobs_pb2

pytestmark = pytest.mark.chaos

MIB = 1 << 20
SUCCEEDED, FAILED = jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_FAILED
Mount = Callable[[int], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system of so many MiB."""
    with contextlib.ExitStack() as stack:

        def mount(size_mib: int) -> Path:
            if not stack.enter_context(small_disk(tmp_path / "disk", size_mib)):
                pytest.skip("only root can mount the small file system that this test fills")
            return tmp_path / "disk"

        yield mount


def files(server: LiveServer) -> list[str]:
    return [path.name for path in server.data.glob("jobs/**/*") if path.is_file()]


def fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_the_disk_fills_while_layers_are_written(mount: Mount) -> None:
    disk = mount(8)
    with live_server(disk / "data") as server:
        large = Behaviour(frame_bytes=MIB)
        job = server.wait_for_end(server.submit(behaviour=large, frames=5).name)
        assert (job.state, job.error.reason, job.attempt) == (FAILED, "DISK_FULL", 1)
        assert "disk" in job.error.message
        assert job.error.hint
        assert server.artifacts(job.name) == []
        assert set(files(server)) <= {"preview.png"}
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED


def test_the_disk_is_full_before_the_job_starts(mount: Mount) -> None:
    disk = mount(16)
    with live_server(disk / "data", min_free_mib=4) as server:
        first = server.submit(behaviour=Behaviour(step_s=0.1), steps=10)
        second = server.submit()
        server.wait(first.name, lambda job: job.progress.done > 0)
        (disk / "ballast").write_bytes(bytes(8 * MIB))  # beside the 4 that the server reserves
        assert server.wait_for_end(first.name).state == SUCCEEDED
        job = server.wait_for_end(second.name)
        assert (job.state, job.error.reason) == (FAILED, "DISK_FULL")
        with pytest.raises(grpc.RpcError) as caught:
            server.submit()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_detail(caught.value).reason == "DISK_FULL"
        (disk / "ballast").unlink()
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED


def test_another_program_fills_the_disk_to_the_last_byte(mount: Mount) -> None:
    disk = mount(8)
    with live_server(disk / "data") as server:
        server.wait_for_end(server.submit().name)
        job = server.submit(behaviour=Behaviour(step_s=0.1), steps=10)
        fill(disk / "ballast")
        wait_until(lambda: "waiting for free space" in server.log.read_text())
        assert server.get(job.name).state not in (SUCCEEDED, FAILED)
        (disk / "ballast").unlink()
        ended = server.wait_for_end(job.name)
        assert (ended.state, ended.error.reason) == (FAILED, "DISK_FULL")
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED
