"""What a server runs short of, or loses, while it runs: it refuses in a sentence, and goes on."""

from __future__ import annotations

import contextlib
import resource
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, error_detail, live_server, wait_until
from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2

pytestmark = pytest.mark.chaos

SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED
# The server's own fault, or an answer that never came.
FORBIDDEN = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}


@contextlib.contextmanager
def no_descriptors(server: LiveServer) -> Iterator[None]:
    """Allow the server no more descriptors than it has, until the end of the block."""
    process = psutil.Process(server.process.pid)
    limits = process.rlimit(resource.RLIMIT_NOFILE)
    process.rlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_NOFILE, limits)


def attempt(server: LiveServer, call: Callable[[], object]) -> str:
    """Make a call; return the reason why it was refused, "" where it was not."""
    try:
        call()
    except grpc.RpcError as error:
        refused = error
    else:
        return ""
    code = refused.code()  # type: ignore[attr-defined]
    return str(error_detail(refused).reason) if code not in FORBIDDEN else str(code.name)


def every_call(server: LiveServer, done: str, file: str) -> list[str]:
    """Make one call of each kind; return the reasons why they were refused."""
    files = server.files
    find = artifacts_pb2.FindFilesRequest(sha256=["0" * 64])
    query = artifacts_pb2.QueryWriteRequest(upload_id=str(uuid.uuid4()))
    begin = artifacts_pb2.BeginWrite(
        upload_id=str(uuid.uuid4()), size_bytes=5, sha256="0" * 64, media_type="a/b"
    )
    upload = [artifacts_pb2.WriteArtifactRequest(begin=begin)]
    calls: list[Callable[[], object]] = [
        lambda: server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()),
        lambda: server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest()),
        lambda: server.get(done),
        lambda: server.wait_for_end(done),
        lambda: server.artifacts(done),
        lambda: server.read(file),
        lambda: server.call(files.FindFiles, find),
        lambda: server.call(files.QueryWrite, query),
        lambda: server.call(files.WriteArtifact, iter(upload)),
        lambda: server.submit(),
        lambda: server.cancel(done),
    ]
    return [attempt(server, call) for call in calls]


def test_without_descriptors_calls_and_workers_wait_for_some(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as server:
        done = server.wait_for_end(server.submit().name)
        file = server.artifacts(done.name)[0].name
        running = server.submit(behaviour=Behaviour(step_s=0.1), steps=30)
        server.wait(running.name, lambda job: job.progress.done > 0)
        with no_descriptors(server):
            server.worker().kill()  # a new one cannot be started
            for _ in range(3):
                reasons = set(every_call(server, done.name, file))
                assert reasons <= {"", "STORAGE_FAILED", "ENGINE_NOT_READY"}
            time.sleep(2)
        assert server.wait_for_end(running.name).state == SUCCEEDED
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED
        assert "a call failed unexpectedly" not in server.log.read_text()
        assert server.unpublished_files() == []


def test_a_disk_that_takes_no_byte_ends_nothing(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as server:
        done = server.wait_for_end(server.submit().name)
        file = server.artifacts(done.name)[0].name
        process = psutil.Process(server.process.pid)
        limits = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # every write fails, as where
        try:  # a disk was mounted again for reading
            reasons = every_call(server, done.name, file)
            assert attempt(server, server.submit) in ("STORAGE_FAILED", "DISK_FULL")
        finally:
            process.rlimit(resource.RLIMIT_FSIZE, limits)
        assert set(reasons) <= {"", "STORAGE_FAILED", "DISK_FULL"}
        assert reasons[:6] == [""] * 6  # what only reads goes on
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED
        assert "a call failed unexpectedly" not in server.log.read_text()


def test_a_database_that_is_moved_away_and_brought_back(tmp_path: Path) -> None:
    data, aside = tmp_path / "data", tmp_path / "aside"
    aside.mkdir()
    with live_server(data) as server:
        done = server.wait_for_end(server.submit().name)
        moved = list(data.glob("jobs.sqlite3*"))
        for path in moved:
            path.rename(aside / path.name)
        assert attempt(server, server.submit) == "STORAGE_FAILED"
        assert not (data / "jobs.sqlite3").exists()
        for path in moved:
            (aside / path.name).rename(path)
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED
    with live_server(data) as server:
        listed = server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs
        assert [job.name for job in listed][-1] == done.name
        assert len(listed) == 2


def test_a_data_folder_that_vanishes_is_named_and_comes_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_server(data) as server:
        done = server.wait_for_end(server.submit().name)
        running = server.submit(behaviour=Behaviour(step_s=0.05), steps=20)
        server.wait(running.name, lambda job: job.progress.done > 0)
        data.rename(tmp_path / "aside")  # as a disk that is unmounted
        assert attempt(server, server.submit) == "STORAGE_FAILED"
        time.sleep(1)
        assert not data.exists()  # neither server nor worker makes it anew
        (tmp_path / "aside").rename(data)
        assert server.get(done.name).state == SUCCEEDED
        wait_until(lambda: server.get(running.name).state not in (1, 2, 3))
        assert server.wait_for_end(server.submit().name).state == SUCCEEDED
