"""One connection: its address, its end, and how long it is tried again."""

from __future__ import annotations

import threading
import time

import pytest

from fakes.scripted_server import ScriptedServer
from layert2v.spec import GenerateSpec
from layert2v.v1 import jobs_pb2
from layert2v_client import InvalidRequest, NotPossible, ServerUnavailable, connect
from layert2v_client.connection import RetryBudget

AWAY = ServerUnavailable("AWAY", "It is away.")


def test_a_closed_connection(server: ScriptedServer) -> None:
    client = connect(server.address)
    job = client.submit(GenerateSpec("a fox"))
    client.close()
    for use in (job.status, lambda: list(job.watch())):
        with pytest.raises(NotPossible, match="closed"):
            use()


@pytest.mark.parametrize("way", ["call", "stream"])
def test_a_connection_that_another_thread_closes_just_now(server: ScriptedServer, way: str) -> None:
    connection = connect(server.address)._connection

    def call_too_late(*args: object, **options: object) -> object:
        connection.close()
        return connection.jobs.ListJobs(*args, **options)

    with pytest.raises(NotPossible, match="closed"):
        getattr(connection, way)(call_too_late, jobs_pb2.ListJobsRequest())


def test_no_server_at_the_address() -> None:
    with connect("127.0.0.1:1") as client, pytest.raises(ServerUnavailable) as caught:
        client.info()
    assert caught.value.message == "The server at 127.0.0.1:1 does not answer."
    assert "TLS" in caught.value.hint


@pytest.mark.parametrize(
    "address", ["", "render01", "render01:", ":80", "a:b", "x:70000", "http://x:1"]
)
def test_invalid_addresses_are_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="no server address"):
        connect(address)


def test_a_retry_budget_ends_and_starts_anew() -> None:
    budget = RetryBudget(0.3, threading.Event())
    budget.pause(AWAY)  # 0.2 s
    with pytest.raises(ServerUnavailable, match="away"):
        budget.pause(AWAY)
    budget.reset()
    budget.pause(AWAY)


def test_a_pause_that_is_stopped_returns_at_once() -> None:
    stop = threading.Event()
    budget = RetryBudget(1000.0, stop)
    budget._pause_s = 500.0
    stop.set()
    began = time.monotonic()
    budget.pause(AWAY)
    assert time.monotonic() - began < 10
