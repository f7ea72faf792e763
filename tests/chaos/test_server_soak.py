"""A server over many jobs, of which a third is cancelled: it must not grow.

A short run compares open files and threads before and after; ``make soak`` goes on for half an hour
and compares memory and the size of the database's log, too.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from layert2v.v1 import jobs_pb2

pytestmark = pytest.mark.chaos

CANCEL_SHARE = 0.3
SAMPLES = 12  # of a run; the first third is warming up
MAX_GROWTH_MIB = 24.0  # of memory between the second and the last third of a long run
MAX_WAL_MIB = 16.0
LONG_S = 300.0  # from here on memory is compared


@dataclass(frozen=True)
class Sample:
    """What a server and its worker hold."""

    memory_mib: float
    files: int
    threads: int
    wal_mib: float


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path, soak_s: float) -> Iterator[LiveServer]:
    settings = {}
    if request.param == "postgresql":
        if soak_s < LONG_S:
            pytest.skip("a soak on PostgreSQL is a part of make soak")
        settings["database"] = request.getfixturevalue("postgresql").empty_database()
    with live_server(tmp_path / "data", **settings) as live:
        yield live


def test_a_server_does_not_grow(server: LiveServer, soak_s: float) -> None:
    choices = random.Random(0)
    work(server, choices, 1.0)
    samples = []
    for _ in range(SAMPLES):
        work(server, choices, soak_s / SAMPLES)
        samples.append(take_sample(server))
    early, late = samples[SAMPLES // 3 : 2 * SAMPLES // 3], samples[2 * SAMPLES // 3 :]
    sys.stdout.writelines(f"{sample}\n" for sample in samples)
    assert max(s.files for s in late) <= max(s.files for s in early) + 2
    assert max(s.threads for s in late) <= max(s.threads for s in early) + 2
    assert max(s.wal_mib for s in late) < MAX_WAL_MIB
    if soak_s >= LONG_S:
        growth = min(s.memory_mib for s in late) - min(s.memory_mib for s in early)
        assert growth < MAX_GROWTH_MIB
    assert server.unpublished_files() == []


def work(server: LiveServer, choices: random.Random, seconds: float) -> None:
    """Submit, watch, cancel and delete jobs for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        jobs = [server.submit(frames=1, behaviour=Behaviour(step_s=0.005)) for _ in range(4)]
        for job in jobs:
            if choices.random() < CANCEL_SHARE:
                server.cancel(job.name)
        for job in jobs:
            server.wait_for_end(job.name)
            server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=job.name))


def take_sample(server: LiveServer) -> Sample:
    """Return what the server and its worker hold now."""
    processes = [psutil.Process(server.process.pid), *server.workers()]
    wal = server.data / "jobs.sqlite3-wal"
    return Sample(
        memory_mib=sum(process.memory_info().rss for process in processes) / 2**20,
        files=sum(process.num_fds() for process in processes),
        threads=sum(process.num_threads() for process in processes),
        wal_mib=wal.stat().st_size / 2**20 if wal.exists() else 0.0,
    )
