"""Workers and servers that are killed and frozen at random moments, while jobs come and go.

On SQLite one server is killed and started again; on PostgreSQL there are two, of which one at a
time is hit. Every job ends, each success has one whole result, and nothing else is left.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import FINAL_STATES, LiveServer
from layert2v.stack import read
from layert2v.v1 import jobs_pb2

pytestmark = pytest.mark.chaos

CANCEL_SHARE = 0.3
SETTINGS = {
    "lease_s": 2.0,
    "max_attempts": 1000,
    "max_worker_deaths": 1000,
    "max_open_jobs": 10_000,
    "heartbeat_s": 0.2,
}
QUICK = Behaviour(step_s=0.01, frame_s=0.01)
END_STATES = {jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_CANCELLED}


class Storm:
    """Servers on one data folder, and what happens to them; ``seed`` chooses what."""

    def __init__(self, data: Path, count: int, seed: int, **settings: Any) -> None:
        self.random = random.Random(seed)
        self._start = lambda: LiveServer(data, **SETTINGS, **settings)
        self.servers = [self._start() for _ in range(count)]
        self.cancelled: set[str] = set()
        self.frozen: list[psutil.Process] = []  # workers, which end with their servers

    def strike(self) -> None:
        """Hit one server or its worker."""
        number = self.random.randrange(len(self.servers))
        server = self.servers[number]
        blow = self.random.choice(["kill worker", "freeze worker", "kill server", "freeze server"])
        if blow == "kill server":
            server.kill()
            self.servers[number] = self._start()
        elif blow == "freeze server":
            server.freeze()
            time.sleep(self.random.uniform(0.1, 1.5 * float(SETTINGS["lease_s"])))
            server.thaw()
        else:
            for worker in server.workers():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if blow == "kill worker":
                        worker.kill()
                    else:
                        worker.suspend()
                        self.frozen.append(worker)

    def submit(self) -> str:
        """Submit a job to one of the servers, and cancel some."""
        server = self.random.choice(self.servers)
        name = str(server.submit(frames=1, behaviour=QUICK, seed=self.random.randrange(999)).name)
        if self.random.random() < CANCEL_SHARE:
            time.sleep(self.random.uniform(0, 0.2))
            self.random.choice(self.servers).cancel(name)
            self.cancelled.add(name)
        return name

    def wait_for_end(self, name: str) -> Any:
        """Ask for a job until it has ended, whoever answers."""
        while True:
            with contextlib.suppress(grpc.RpcError):
                job = self.servers[0].get(name)
                if job.state in FINAL_STATES:
                    return job
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop all servers; what they have started, also what was frozen, ends with them."""
        for server in self.servers:
            server.stop()
        _, left = psutil.wait_procs(self.frozen, timeout=20)
        assert not left


@pytest.fixture(params=["sqlite", "postgresql"])
def storm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storm]:
    if request.param == "sqlite":
        storm = Storm(tmp_path / "data", 1, seed=1)
    else:
        url = request.getfixturevalue("postgresql").empty_database()
        storm = Storm(tmp_path / "data", 2, seed=2, database=url)
    yield storm
    storm.stop()


def test_every_job_ends_once(storm: Storm, storm_jobs: int) -> None:
    names = []
    for number in range(storm_jobs):
        names.append(storm.submit())
        if number % 6 == 5:
            storm.strike()
    ended = [storm.wait_for_end(name) for name in names]
    assert {job.state for job in ended} <= END_STATES
    for job in ended:
        folder = Path(storm.servers[0].data) / "jobs" / job.name.removeprefix("jobs/")
        left = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if job.state == jobs_pb2.JOB_STATE_SUCCEEDED:
            assert job.artifact_count == len(read(folder / "stack").files()) + 2
            assert left <= {"stack", "job.json", "preview.png"}
        else:
            assert job.name in storm.cancelled
            assert left <= {"job.json", "preview.png"}
    assert not [
        path for path in storm.servers[0].data.rglob("*") if path.suffix in (".new", ".tmp")
    ]
