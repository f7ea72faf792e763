"""Metrics and log of a real server: figures, who may read them, ids from the client to the log."""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from collections.abc import Iterator

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes.fake_engine import Behaviour
from fakes.live_server import (
    WAIT_TIMEOUT_S,
    LiveServer,
    error_detail,
    live_server,
    wait_until,
)
from layert2v.spec import GenerateSpec
from layert2v.v1 import jobs_pb2
from layert2v_client import JobFailed, connect
from layert2v_server.auth import add_entry, make_token

TOKEN, ENTRY = make_token("anna")
CANARY = "canary4711"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("metrics")
    add_entry(folder / "tokens", ENTRY)
    settings = {"metrics_address": "0.0.0.0:0", "log_format": "json", "max_attempts": 1}
    with live_server(folder / "data", token_file=str(folder / "tokens"), **settings) as server:
        server.connect(TOKEN)
        yield server


def get_metrics(server: LiveServer, token: str = TOKEN) -> tuple[int, str]:
    port = int(server.ready["metrics"].rpartition(":")[2])
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_job_shows_in_the_figures_and_its_words_do_not(server: LiveServer) -> None:
    job = server.wait_for_end(server.submit(prompt=f"a fox {CANARY}").name)
    for file in server.artifacts(job.name):
        server.read(file.name)
    with pytest.raises(grpc.RpcError):
        server.get("jobs/" + "0" * 32)
    refused = frozenset({("reason", "JOB_NOT_FOUND")})
    # A call is counted just after its answer.
    wait_until(lambda: ("layert2v_refusals_total", refused) in samples(get_metrics(server)[1]))
    status, text = get_metrics(server)
    assert status == 200
    found = samples(text)
    labels = frozenset({("state", "SUCCEEDED"), ("kind", "GENERATE")})
    assert found["layert2v_jobs", labels] >= 1
    assert found["layert2v_download_bytes_total", frozenset()] >= job.artifact_bytes
    call = frozenset({("method", "GetJob"), ("code", "NOT_FOUND")})
    assert found["layert2v_call_seconds_count", call] >= 1
    idle = frozenset({("worker", "cpu"), ("state", "idle")})
    assert found["layert2v_worker", idle] == 1
    assert found["layert2v_workers_resident_bytes", frozenset()] > 1e6
    for secret in (CANARY, TOKEN, "anna", job.name.partition("/")[2]):
        assert secret not in text


def test_off_loopback_the_figures_want_a_token(server: LiveServer) -> None:
    for token in ("", "wrong"):
        status, text = get_metrics(server, token)
        assert status == 401
        assert "token" in text


def test_a_request_id_goes_from_the_client_to_the_worker_and_back(server: LiveServer) -> None:
    request_id = uuid.uuid4()
    with connect(server.ready["address"], token=TOKEN) as client:
        spec = GenerateSpec(prompt="a fox", negative_prompt=Behaviour(fault="crash").to_prompt())
        job = client.submit(spec, request_id=request_id)
        with pytest.raises(JobFailed) as caught:
            job.wait()
    assert f"under request {request_id}" in caught.value.hint
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{"]
    loggers = {line["logger"] for line in lines if line.get("request") == str(request_id)}
    assert loggers >= {"layert2v_server.service.scheduler", "__main__"}
    assert CANARY not in server.log.read_text()


def test_an_error_brings_the_id_of_its_call(server: LiveServer) -> None:
    metadata = (*server.metadata, ("x-request-id", "my-call-1"))
    with pytest.raises(grpc.RpcError) as caught:
        server.jobs.GetJob(
            jobs_pb2.GetJobRequest(name="jobs/x"), metadata=metadata, timeout=WAIT_TIMEOUT_S
        )
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "my-call-1"
    assert error_detail(caught.value).reason == "JOB_NOT_FOUND"
    assert "my-call-1" not in server.log.read_text()  # what callers do wrong does not fill the log
