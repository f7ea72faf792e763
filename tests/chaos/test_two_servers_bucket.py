"""Two real servers on one PostgreSQL and one bucket, without a disk that both see."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from fakes.postgresql import PostgresServer
from fakes.s3_server import S3Server
from fakes.stack_requests import FOX, find_missing, rerender, upload
from layert2v.v1 import jobs_pb2

pytestmark = pytest.mark.chaos

RUNNING, SUCCEEDED = jobs_pb2.JOB_STATE_RUNNING, jobs_pb2.JOB_STATE_SUCCEEDED
JOBS = 6


@pytest.fixture(scope="module")
def pair(
    postgresql: PostgresServer, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveServer, LiveServer]]:
    folder, bucket = tmp_path_factory.mktemp("pair"), s3.make_bucket()
    start = functools.partial(
        live_server,
        database=postgresql.create_database(),
        artifacts=f"s3://{bucket}/farm",
        variables=s3.environment(),
        lease_s=3.0,
        max_attempts=5,
    )
    with start(folder / "one") as one, start(folder / "two") as two:
        yield one, two


def check_result(server: LiveServer, name: str) -> None:
    """Read every file of a result, and compare it with its hash."""
    files = server.artifacts(name)
    assert "stack.json" in {file.path for file in files}
    for file in files:
        data = b"".join(message.chunk.data for message in server.read(file.name))
        assert hashlib.sha256(data).hexdigest() == file.sha256


def test_each_server_reads_what_the_other_made(pair: tuple[LiveServer, LiveServer]) -> None:
    one, two = pair
    names = [pair[k % 2].submit(frames=1, seed=k).name for k in range(JOBS)]
    for name in names:
        assert one.wait_for_end(name).state == SUCCEEDED
        check_result(one, name)
        check_result(two, name)
    ran = [sum(f"job={name[5:]} attempt" in s.log.read_text() for name in names) for s in pair]
    assert sum(ran) == JOBS
    record = upload(one, b"a plate")
    assert find_missing(two, [record.sha256]) == []
    for server, source in ((one, names[0]), (two, names[1])):
        job = pair[0].wait_for_end(rerender(server, FOX, source).name)
        assert job.state == SUCCEEDED
        check_result(two, job.name)


def test_jobs_of_a_killed_server_end_on_the_other(pair: tuple[LiveServer, LiveServer]) -> None:
    one, two = pair
    source = one.wait_for_end(one.submit(seed=9).name)
    slow = Behaviour(step_s=0.1)
    jobs = [two.submit(behaviour=slow, steps=20, frames=1) for _ in range(2)]
    jobs.append(rerender(two, FOX, source.name))
    for job in jobs[:2]:  # each server has one worker, so each runs one of them
        one.wait(job.name, lambda job: job.state == RUNNING and job.progress.done > 1)
    two.kill()
    for job in jobs:
        assert one.wait_for_end(job.name).state == SUCCEEDED
        check_result(one, job.name)
    assert one.unpublished_files() == []
