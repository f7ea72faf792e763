"""SIGKILL of a server in the phases around the work of a job: every job ends, no file is left."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server, wait_until
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v.wire import CHUNK_BYTES

pytestmark = pytest.mark.chaos

SLOW = Behaviour(step_s=0.05, frame_s=0.1)
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED
FRAMES = 5
TRASH = 6_000
PHASES: dict[str, Callable[[Any], bool]] = {
    "queued": lambda job: job.state == jobs_pb2.JOB_STATE_QUEUED,
    "loading": lambda job: job.state == jobs_pb2.JOB_STATE_RUNNING,
    "publishing": lambda job: job.progress.stage == "decode" and job.progress.done >= FRAMES,
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_job_survives_a_kill_while_it_is(tmp_path: Path, phase: str) -> None:
    first = LiveServer(tmp_path / "data")
    try:
        if phase == "queued":
            first.submit(behaviour=SLOW, steps=20, frames=FRAMES)  # keeps the worker busy
        job = first.submit(behaviour=SLOW, steps=10, frames=FRAMES)
        first.wait(job.name, PHASES[phase])
    finally:
        first.kill()
    with live_server(tmp_path / "data") as second:
        ended = second.wait_for_end(job.name)
        assert ended.state == SUCCEEDED
        assert len(second.artifacts(job.name)) == ended.artifact_count > FRAMES
        assert second.unpublished_files() == []


def test_an_upload_goes_on_after_a_kill(tmp_path: Path) -> None:
    data, upload_id = bytes(range(256)) * (12 * CHUNK_BYTES // 256), str(uuid.uuid4())
    begin = artifacts_pb2.BeginWrite(
        upload_id=upload_id,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/x-exr",
    )
    first = LiveServer(tmp_path / "data")

    def steps(start: int, kill_at: int = -1) -> Iterator[Any]:
        yield artifacts_pb2.WriteArtifactRequest(begin=begin)
        for offset in range(start, len(data), CHUNK_BYTES):
            if offset == kill_at:
                first.process.kill()
            piece = data[offset : offset + CHUNK_BYTES]
            chunk = artifacts_pb2.Chunk(offset=offset, data=piece, crc32=zlib.crc32(piece))
            yield artifacts_pb2.WriteArtifactRequest(chunk=chunk)
        yield artifacts_pb2.WriteArtifactRequest(finish=artifacts_pb2.FinishWrite())

    with pytest.raises(grpc.RpcError):
        first.call(first.files.WriteArtifact, steps(0, kill_at=8 * CHUNK_BYTES))
    first.kill()
    with live_server(tmp_path / "data") as second:
        query = artifacts_pb2.QueryWriteRequest(upload_id=upload_id)
        committed = second.call(second.files.QueryWrite, query).committed_bytes
        assert committed <= 8 * CHUNK_BYTES
        artifact = second.call(second.files.WriteArtifact, steps(committed)).artifact
        assert b"".join(a.chunk.data for a in second.read(artifact.name)) == data


def stored_jobs(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as connection:
        return {f"jobs/{row[0]}" for row in connection.execute("SELECT id FROM jobs")}


def test_a_job_is_deleted_or_whole_after_a_kill(tmp_path: Path) -> None:
    chance = random.SystemRandom()
    first = LiveServer(tmp_path / "data")
    jobs = [first.wait_for_end(first.submit(frames=1).name) for _ in range(5)]

    def delete() -> None:
        for job in jobs:
            with suppress(grpc.RpcError):
                first.call(first.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=job.name))

    deleting = threading.Thread(target=delete)
    deleting.start()
    time.sleep(chance.random() * 0.03)
    first.process.kill()
    deleting.join()
    first.kill()
    stored = stored_jobs(tmp_path / "data")
    with live_server(tmp_path / "data", rebuild=True) as second:
        listed = second.call(second.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs
        assert {job.name for job in listed} == stored  # no rebuild brings back what was deleted
        for job in jobs:
            try:
                assert second.get(job.name).state == SUCCEEDED
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017
            else:
                for file in second.artifacts(job.name):
                    assert sum(len(a.chunk.data) for a in second.read(file.name)) == file.size_bytes
        assert second.wait_for_end(second.submit().name).state == SUCCEEDED


def test_a_kill_while_the_trash_is_emptied_loses_no_job(tmp_path: Path) -> None:
    data, trash = tmp_path / "data", tmp_path / "data" / "trash"
    with live_server(data) as first:
        job = first.wait_for_end(first.submit().name)
    for number in range(TRASH):
        (trash / f"1_{number}").mkdir(parents=True)
    killer = threading.Thread(target=_kill_while_emptying, args=[data, trash])
    killer.start()
    with pytest.raises(AssertionError, match="did not start"):
        LiveServer(data)
    killer.join()
    assert 0 < len(list(trash.iterdir())) < TRASH
    with live_server(data) as second:
        assert second.get(job.name).state == SUCCEEDED
        assert list(trash.iterdir()) == []


def _kill_while_emptying(data: Path, trash: Path) -> None:
    """Kill the server on ``data`` as soon as something is missing in its trash."""
    servers: list[psutil.Process] = []
    while not servers:
        servers = [
            p for p in psutil.process_iter(["cmdline"]) if str(data) in (p.info["cmdline"] or [])
        ]
    wait_until(lambda: len(list(trash.iterdir())) < TRASH)
    for server in servers:
        server.kill()
