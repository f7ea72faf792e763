"""A bucket that answers after seconds: whoever has no business with it does not wait for it."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from fakes.list_latency import Latency, slowest
from fakes.live_server import LiveServer, live_server
from fakes.s3_server import Gate, S3Server
from fakes.server_bounds import assert_fast
from fakes.stack_requests import FOX, find_missing
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v.wire import rerender_to_message
from layert2v_server.auth import add_entry, make_token

pytestmark = pytest.mark.chaos

DELAY_S = 15.0  # of each request to the bucket
LISTS = 40
USERS = ("anna", "bert", "mallory")
READS = 8  # of each of two users, who share a connection
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED


class Caller:
    """One user with a connection of their own, and calls that go on beside the test."""

    def __init__(self, server: LiveServer, token: str, pool: ThreadPoolExecutor) -> None:
        server.connect(token)
        self.jobs, self.files, self.metadata = server.jobs, server.files, server.metadata
        self._pool = pool

    def rerender(self, source: str) -> Any:
        message = jobs_pb2.RerenderRequest(spec=rerender_to_message(FOX), job=source)
        request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), rerender=message)
        return self._pool.submit(self._call, self.jobs.CreateJob, request)

    def read(self, name: str) -> Any:
        request = artifacts_pb2.ReadArtifactRequest(name=name)
        return self._pool.submit(self._call, self._read_all, request)

    def delete(self, name: str) -> Any:
        request = jobs_pb2.DeleteJobRequest(name=name)
        return self._pool.submit(self._call, self.jobs.DeleteJob, request)

    def _read_all(self, request: Any, **options: Any) -> int:
        return len(list(self.files.ReadArtifact(request, **options)))

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=40, metadata=self.metadata)
        except grpc.RpcError as error:  # whatever becomes of it is not what is tested
            return error


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    made = {}
    for user in USERS:
        made[user], entry = make_token(user)
        add_entry(tmp_path / "tokens", entry)
    return made


@pytest.fixture
def gate(s3: S3Server) -> Iterator[Gate]:
    gate = Gate(s3.port)
    yield gate
    gate.close()


@pytest.fixture
def server(
    s3: S3Server, gate: Gate, tmp_path: Path, tokens: dict[str, str]
) -> Iterator[LiveServer]:
    with live_server(
        tmp_path / "data",
        artifacts=f"s3://{s3.make_bucket()}/slow",
        variables=s3.environment(gate.url),
        token_file=str(tmp_path / "tokens"),
    ) as server:
        yield server


def test_others_do_not_wait_for_a_slow_bucket(
    server: LiveServer, gate: Gate, tokens: dict[str, str]
) -> None:
    with ThreadPoolExecutor(2 * READS + 8) as pool:
        callers = [Caller(server, tokens[user], pool) for user in ("bert", "mallory")]
        stacks = [[make_stack(server, caller, seed) for seed in range(2)] for caller in callers]
        server.connect(tokens["anna"])
        calm_ms = time_lists(server)
        with gate.slow(DELAY_S):
            waiting = []
            for caller, (kept, deleted) in zip(callers, stacks, strict=True):
                waiting += [caller.rerender(kept), caller.delete(deleted)]
                waiting += [caller.read(f"{kept}/artifacts/0") for _ in range(READS)]
            time.sleep(0.2)
            lists_ms = time_lists(server)
            assert find_missing(server, ["0" * 64]) == ["0" * 64]
            job = server.submit(frames=1)
            server.wait(job.name, lambda each: each.progress.done > 0)
            assert not [each.result() for each in waiting if each.done()]
        assert all(each.result() for each in waiting)
    sys.stdout.write(f"{len(lists_ms)} lists\n")
    assert_fast(Latency(slowest(calm_ms), slowest(lists_ms), len(lists_ms)))
    assert server.wait_for_end(job.name).state == SUCCEEDED
    assert "Traceback" not in server.log.read_text()


def make_stack(server: LiveServer, caller: Caller, seed: int) -> str:
    """Return the job of a stack of this caller."""
    server.jobs, server.files, server.metadata = caller.jobs, caller.files, caller.metadata
    job = server.wait_for_end(server.submit(frames=1, seed=seed).name)
    assert job.state == SUCCEEDED
    return str(job.name)


def time_lists(server: LiveServer) -> list[float]:
    """Return how many milliseconds each of some lists took."""
    took_ms = []
    for _ in range(LISTS):
        began = time.monotonic()
        server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest(page_size=10))
        took_ms.append(1000 * (time.monotonic() - began))
        time.sleep(0.01)
    return took_ms
