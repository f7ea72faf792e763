"""Limits of one user: refused with a time to come back, which the client keeps to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from fakes.live_server import LiveServer, error_detail, live_server
from layert2v.spec import GenerateSpec
from layert2v.v1 import jobs_pb2
from layert2v_client import connect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("limits")
    with live_server(folder / "data", max_calls_per_s=5.0) as server:
        yield server


def spend_all(server: LiveServer) -> grpc.RpcError:
    """List jobs until the server refuses."""
    for _ in range(1000):
        try:
            server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest())
        except grpc.RpcError as error:
            return error
    raise AssertionError("nothing was refused")


def test_too_many_requests_are_refused_with_a_time(server: LiveServer) -> None:
    refused = spend_all(server)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
    detail = error_detail(refused)
    assert detail.reason == "TOO_MANY_REQUESTS"
    assert 0 < detail.retry_after_s <= 0.2


def test_a_client_comes_back_in_time(server: LiveServer, tmp_path: Path) -> None:
    spend_all(server)
    with connect(server.ready["address"]) as client:
        job = client.submit(GenerateSpec(prompt="a fox"))
        job.wait()
        spend_all(server)
        folder = job.download(tmp_path / "fox")  # a read for each of many files
    assert (folder / "stack.json").is_file()
