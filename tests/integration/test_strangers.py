"""What strangers send, or do not send, stays in no memory; nobody learns of folders."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.live_server import LiveServer, error_detail, live_server
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v_server.api.interceptor import MAX_HEALTH_CALLS, MAX_HEALTH_NAME
from layert2v_server.auth import add_entry, make_token

TOKEN, ENTRY = make_token("anna")
IDLE_TIMEOUT_S = 1.0
METHODS = ("JobService/ListJobs", "JobService/WatchJob", "ArtifactService/ReadArtifact")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("strangers")
    add_entry(folder / "tokens", ENTRY)
    settings = {"token_file": str(folder / "tokens"), "idle_timeout_s": IDLE_TIMEOUT_S}
    settings |= {"expose_local_paths": False}
    with live_server(folder / "data", **settings) as server:
        yield server


@pytest.fixture
def channel(server: LiveServer) -> Iterator[grpc.Channel]:
    """Return a connection that no other test has."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.ready["address"], options=options) as channel:
        yield channel


@pytest.fixture
def begin(channel: grpc.Channel) -> Iterator[Callable[..., Any]]:
    """Return what begins a call without a message; the message never comes."""
    ended = threading.Event()

    def no_message() -> Iterator[bytes]:
        ended.wait(30)
        yield from ()

    def begin(path: str, token: str = "") -> Any:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return channel.stream_stream(path)(no_message(), metadata=metadata, timeout=20)

    yield begin
    ended.set()


@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_is_refused_before_any_message(begin: Callable[..., Any], method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(begin(f"/layert2v.v1.{method}"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", METHODS)
def test_a_call_whose_message_does_not_come_ends(begin: Callable[..., Any], method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(begin(f"/layert2v.v1.{method}", TOKEN))
    assert error_detail(caught.value).reason == "TOO_SLOW"


def test_a_call_without_a_message_is_one_sentence(channel: grpc.Channel) -> None:
    call = channel.stream_unary("/layert2v.v1.JobService/ListJobs")
    with pytest.raises(grpc.RpcError) as caught:
        call(iter(()), metadata=(("authorization", f"Bearer {TOKEN}"),), timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "A call has a message; this one has none."


def test_one_connection_watches_the_health_a_few_times(
    server: LiveServer, channel: grpc.Channel
) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest()
    watches = [stub.Watch(request, timeout=20) for _ in range(MAX_HEALTH_CALLS)]
    assert [next(watch).status for watch in watches] == [1] * MAX_HEALTH_CALLS
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.Watch(request, timeout=20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    server.connect(TOKEN)  # on another connection
    with grpc.insecure_channel(server.ready["address"]) as other:
        check: Any = health_pb2_grpc.HealthStub(other)
        assert check.Check(request, timeout=20).status == 1
    assert not server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs
    for watch in watches:
        watch.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_health_takes_no_long_names(channel: grpc.Channel, method: str) -> None:
    request = health_pb2.HealthCheckRequest(service="x" * (MAX_HEALTH_NAME + 1))
    call = getattr(health_pb2_grpc.HealthStub(channel), method)
    with pytest.raises(grpc.RpcError) as caught:
        next(call(request, timeout=20))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_no_place_for_files_is_named(server: LiveServer) -> None:
    server.connect(TOKEN)
    request = artifacts_pb2.QueryWriteRequest(upload_id=str(uuid.uuid4()))
    assert not server.call(server.files.QueryWrite, request).inbox_path
    assert not (server.data / "inbox").exists()


def test_nothing_of_it_is_in_the_log(server: LiveServer) -> None:
    assert "Traceback" not in server.log.read_text()
