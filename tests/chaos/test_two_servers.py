"""Two real servers on one PostgreSQL: no job is lost, none has two results, nothing is left."""

from __future__ import annotations

import functools
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from fakes.machine_load import busy_share
from fakes.postgresql import PostgresServer
from layert2v.stack import read
from layert2v.v1 import jobs_pb2

pytestmark = pytest.mark.chaos

JOBS = 60
RUNNING, CANCELLED = jobs_pb2.JOB_STATE_RUNNING, jobs_pb2.JOB_STATE_CANCELLED
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED
LONG = Behaviour(step_s=0.05)
SETTINGS = {"lease_s": 3.0, "max_attempts": 5}


@pytest.fixture(scope="module")
def url(postgresql: PostgresServer) -> str:
    return postgresql.create_database()


@pytest.fixture(scope="module")
def pair(
    url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveServer, LiveServer]]:
    data = tmp_path_factory.mktemp("pair") / "data"
    start = functools.partial(live_server, data, database=url, **SETTINGS)
    with start() as one, start() as two:
        yield one, two


def test_a_server_that_is_killed_loses_no_job(
    pair: tuple[LiveServer, LiveServer], url: str
) -> None:
    one, other = pair
    two = LiveServer(other.data, database=url, **SETTINGS)
    pair = (one, two)
    names = [pair[k % 2].submit(frames=1, seed=k).name for k in range(JOBS)]
    two.wait(names[-1], lambda job: job.queue_position is None or job.queue_position < JOBS // 2)
    two.kill()
    ended = [one.wait_for_end(name) for name in names]
    assert {job.state for job in ended} == {SUCCEEDED}
    for job in ended:
        folder = Path(job.local_path)
        assert job.artifact_count == len(read(folder).files()) + 2
        assert {path.name for path in folder.parent.iterdir()} == {
            *("stack", "job.json", "preview.png")
        }
    finished = re.findall(r"job=(\w+) attempt=\d+ outcome=Finished", one.log.read_text())
    assert max(Counter(finished).values()) == 1


def test_progress_and_cancel_cross_servers(pair: tuple[LiveServer, LiveServer]) -> None:
    one, two = pair
    jobs = [one.submit(behaviour=LONG, steps=1000) for _ in range(2)]
    for job in jobs:  # each server has one worker, so each runs one of them
        for server in pair:
            server.wait(job.name, lambda job: job.state == RUNNING and job.progress.done > 2)
    for job in jobs:
        cancelled = time.monotonic()
        two.cancel(job.name)
        assert one.wait_for_end(job.name).state == CANCELLED
        assert time.monotonic() - cancelled < 2 * busy_share()
    assert one.unpublished_files() == []


def test_a_frozen_server_gives_up_its_jobs(pair: tuple[LiveServer, LiveServer]) -> None:
    one, two = pair
    jobs = [one.submit(behaviour=Behaviour(step_s=0.2), steps=25) for _ in range(2)]
    for job in jobs:
        one.wait(job.name, lambda job: job.state == RUNNING and job.progress.done > 1)
    two.freeze()
    ended = [one.wait_for_end(job.name) for job in jobs]
    assert sorted(job.attempt for job in ended) == [1, 2]
    two.thaw()
    after = one.wait_for_end(two.submit(frames=1).name)
    for job in [*ended, after]:
        assert one.get(job.name) == job
        assert job.artifact_count == len(read(Path(job.local_path)).files()) + 2
    assert one.unpublished_files() == []
