"""Hostile callers against a real server: it answers, in bounded memory, and keeps its jobs."""

from __future__ import annotations

import itertools
import random
import re
import socket
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from fakes.attack import Call, calls, fractions, methods, mutate, outcome
from fakes.fake_engine import Behaviour
from fakes.list_latency import latency
from fakes.live_server import LiveServer, live_server, wait_until
from fakes.server_bounds import assert_bounded_memory, assert_fast
from fakes.wire_abuse import slow_readers
from layert2v.stack import MANIFEST_NAME
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v_server.store.sqlite import BUSY_TIMEOUT_S

pytestmark = pytest.mark.chaos

MIB = 1 << 20
CALL_TIMEOUT_S = 10.0
# The server's own fault, or an answer that came too late.
FORBIDDEN = {"INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"}
BIG = Behaviour(frame_bytes=3 * MIB)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("attack") / "data"
    limits = {"max_open_jobs": 1_000_000, "max_calls_per_s": 1_000_000.0}
    with live_server(folder, idle_timeout_s=3.0, **limits) as server:
        yield server


@pytest.fixture(scope="module")
def done(server: LiveServer) -> Any:
    return server.wait_for_end(server.submit(behaviour=BIG, frames=1).name)


@contextmanager
def other_caller(server: LiveServer) -> Iterator[None]:
    """List jobs from another process meanwhile; check how long 99 of 100 answers took."""
    with latency(server.ready["address"]) as found:
        yield
    assert_fast(found)


def stack_text(job: Any) -> str:
    return (Path(job.local_path) / MANIFEST_NAME).read_text()


def channel_to(server: LiveServer) -> grpc.Channel:
    return grpc.insecure_channel(
        server.ready["address"], options=[("grpc.use_local_subchannel_pool", 1)]
    )


def every_call(server: LiveServer, done: Any) -> list[Call]:
    artifact = server.artifacts(done.name)[0].name
    return list(calls(stack_text(done), done.name, artifact))


def test_the_walk_reaches_every_call(server: LiveServer, done: Any) -> None:
    walked = every_call(server, done)
    assert {call.path for call in walked} == {Call(m, ()).path for m in methods()}
    assert len(walked) > 1000
    fields = {call.field for call in walked}
    assert {"layert2v.v1.Plate.colorspace", "layert2v.v1.RerenderSpec.masks"} <= fields


def test_every_value_at_every_field(server: LiveServer, done: Any) -> None:
    codes: Counter[str] = Counter()
    with assert_bounded_memory(server), channel_to(server) as channel:
        for call in every_call(server, done):
            code = outcome(channel, call.path, [call.request.SerializeToString()], CALL_TIMEOUT_S)
            codes[code] += 1
            assert code not in FORBIDDEN - {"DEADLINE_EXCEEDED"}, (call.path, call.field)
            if code == "DEADLINE_EXCEEDED":
                assert call.method.name == "WatchJob", call.field
    assert codes["INVALID_ARGUMENT"] > 100
    for job in server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest(page_size=500)).jobs:
        server.cancel(job.name)
    assert server.wait_for_end(server.submit().name).state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_numbers_that_are_none_are_refused_at_every_field(server: LiveServer, done: Any) -> None:
    fields, reached = fractions(), set()
    with channel_to(server) as channel:
        for call in every_call(server, done):
            text = str(call.request)
            if call.field not in fields or not re.search(r": (nan|-?inf)\b", text):
                continue
            code = outcome(channel, call.path, [call.request.SerializeToString()], CALL_TIMEOUT_S)
            assert code == "INVALID_ARGUMENT", text
            reached.add(call.field)
    assert reached == fields


def test_bytes_that_are_no_messages(server: LiveServer, done: Any, attack_s: float) -> None:
    seeds = every_call(server, done)[::7]
    seed = random.SystemRandom().randrange(2**32)
    chance, until = random.Random(seed), time.monotonic() + attack_s
    with assert_bounded_memory(server), channel_to(server) as channel:
        while time.monotonic() < until:
            call = chance.choice(seeds)
            data = [mutate(each.SerializeToString(), chance) for each in call.requests]
            code = outcome(channel, call.path, data, 2.0)
            assert code not in FORBIDDEN - {"DEADLINE_EXCEEDED"}, (seed, call.path, data)


def test_raw_bytes_on_the_port(server: LiveServer, attack_s: float) -> None:
    chance, until = random.Random(3), time.monotonic() + attack_s / 3
    host, _, port = server.ready["address"].rpartition(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    with assert_bounded_memory(server):
        while time.monotonic() < until:
            with socket.create_connection((host, int(port)), timeout=2) as connection:
                data = (preface, b"", b"GET / HTTP/1.1\r\n\r\n")[chance.randrange(3)]
                data += bytes(chance.randrange(256) for _ in range(chance.randrange(300)))
                connection.sendall(data)


def test_readers_that_do_not_read(server: LiveServer, done: Any) -> None:
    name, address = server.artifacts(done.name)[0].name, server.ready["address"]
    with assert_bounded_memory(server), other_caller(server), slow_readers(address, name):
        time.sleep(2)
        assert len(server.read(name)) == 3  # of another connection, while those are open
        time.sleep(4)  # by now they have been ended
        assert len(server.read(name)) == 3


def test_connections_that_say_nothing(server: LiveServer) -> None:
    host, _, port = server.ready["address"].rpartition(":")
    with ExitStack() as stack:
        for _ in range(100):
            connection = socket.create_connection((host, int(port)), timeout=40)
            stack.enter_context(connection)
        while connection.recv(1000):  # until the server ends it
            pass
    assert server.submit().name


def test_uploads_that_stop_halfway(server: LiveServer) -> None:
    ended = threading.Event()

    def steps() -> Iterator[Any]:
        begin = artifacts_pb2.BeginWrite(
            upload_id=str(uuid.uuid4()), size_bytes=5, sha256="0" * 64, media_type="a/b"
        )
        yield artifacts_pb2.WriteArtifactRequest(begin=begin)
        ended.wait(20)

    began = time.monotonic()
    with assert_bounded_memory(server), pytest.raises(grpc.RpcError) as caught:
        server.files.WriteArtifact(steps(), timeout=15)
    ended.set()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - began < 12


def busy(server: LiveServer, done: Any, kind: str) -> Iterator[None]:
    """Do one thing that takes the server long, over and over."""
    chunk, text = bytes(MIB), stack_text(done)
    many = text.replace('"previews": [', '"previews": [' + ",".join(['{"path": "x"}'] * 9000) + ",")
    spec = jobs_pb2.RerenderSpec(action="remove", layers=["fg_01"])
    while True:
        request_id = str(uuid.uuid4())
        if kind == "info":
            server.call(server.info.GetServerInfo, methods()[-1].input_type._concrete_class())
        elif kind == "manifests":
            rerender = jobs_pb2.RerenderRequest(spec=spec, manifest=many)
            request = jobs_pb2.CreateJobRequest(request_id=request_id, rerender=rerender)
            server.call(server.jobs.CreateJob, request)
        elif kind == "hashes":
            hashes = [f"{random.getrandbits(256):064x}" for _ in range(10_000)]
            server.call(server.files.FindFiles, artifacts_pb2.FindFilesRequest(sha256=hashes))
        else:
            begin = artifacts_pb2.BeginWrite(
                upload_id=request_id, size_bytes=20 * MIB, sha256="0" * 64, media_type="a/b"
            )
            crc = 0xA738EA1C  # of a MiB of zeros
            pieces = [artifacts_pb2.Chunk(offset=k * MIB, data=chunk, crc32=crc) for k in range(20)]
            server.files.WriteArtifact(
                itertools.chain(
                    [artifacts_pb2.WriteArtifactRequest(begin=begin)],
                    (artifacts_pb2.WriteArtifactRequest(chunk=piece) for piece in pieces),
                    [artifacts_pb2.WriteArtifactRequest(finish=artifacts_pb2.FinishWrite())],
                ),
                timeout=60,
            )
        yield


@pytest.mark.parametrize("kind", ["info", "manifests", "hashes", "uploads"])
def test_one_busy_caller_does_not_keep_others_waiting(
    server: LiveServer, done: Any, kind: str
) -> None:
    until = time.monotonic() + 4

    def work() -> None:
        caller = LiveServer.__new__(LiveServer)
        caller.ready, caller.data = server.ready, server.data
        caller.connect()
        steps = busy(caller, done, kind)
        while time.monotonic() < until:
            try:
                next(steps)
            except grpc.RpcError:
                steps = busy(caller, done, kind)

    with assert_bounded_memory(server), other_caller(server):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_a_lock_on_the_database_ends_nothing(server: LiveServer) -> None:
    job = server.submit(behaviour=Behaviour(step_s=0.2), steps=65)
    server.wait(job.name, lambda job: job.progress.done > 0)
    connection = sqlite3.connect(server.data / "jobs.sqlite3", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(BUSY_TIMEOUT_S + 2)  # so that a write of the server's has been given up
    connection.close()
    assert server.wait_for_end(job.name).state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_a_path_that_fits_below_one_folder_only(server: LiveServer, done: Any) -> None:
    wait_until(lambda: bool(server.workers()))
    text = stack_text(done)
    for length in (399, 400, 401, 3900, 4050):
        path = "/".join(["b" * 99] * 41)[:length].rstrip("/")
        extra = f'{{"path": "{path}", "size_bytes": 1, "sha256": "{"0" * 64}"}}'
        manifest = re.sub(r'"previews": \[', f'"previews": [{extra},', text)
        spec = jobs_pb2.RerenderSpec(action="remove", layers=["fg_01"])
        rerender = jobs_pb2.RerenderRequest(spec=spec, manifest=manifest)
        request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), rerender=rerender)
        with assert_bounded_memory(server):
            data = [request.SerializeToString()]
            with channel_to(server) as channel:
                code = outcome(channel, "/layert2v.v1.JobService/CreateJob", data, CALL_TIMEOUT_S)
            assert code in ("INVALID_ARGUMENT", "OK")
