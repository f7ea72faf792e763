"""Spans of a real server, as a collector receives them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fakes.live_server import WAIT_TIMEOUT_S, live_server, wait_until
from layert2v.v1 import jobs_pb2

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            bodies.append(gzip.decompress(body) if is_packed else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()
    thread.join(WAIT_TIMEOUT_S)


def _spans(bodies: list[bytes]) -> dict[str, tuple[Any, dict[str, Any]]]:
    return {
        span.name: (span, {each.key: each.value.string_value for each in span.attributes})
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def test_calls_and_jobs_are_spans_without_words(
    tmp_path: Path, collector: tuple[str, list[bytes]]
) -> None:
    endpoint, bodies = collector
    with live_server(tmp_path / "data", trace_endpoint=endpoint) as server:
        job = server.wait_for_end(server.submit(prompt="canary4711").name)
        server.jobs.GetJob(
            jobs_pb2.GetJobRequest(name=job.name),
            metadata=(("traceparent", PARENT), ("x-request-id", "my-call-2")),
            timeout=WAIT_TIMEOUT_S,
        )
        server.stop()  # sends what is left
        wait_until(lambda: {"GetJob", "job"} <= _spans(bodies).keys())
    spans = _spans(bodies)
    call, attributes = spans["GetJob"]
    assert call.trace_id.hex() == PARENT.split("-")[1]
    assert attributes["rpc.method"] == "GetJob"
    assert attributes["layert2v.request"] == "my-call-2"
    assert attributes["rpc.response.status_code"] == "OK"
    _, attributes = spans["job"]
    assert attributes["layert2v.job"] == job.name.partition("/")[2]
    assert attributes["layert2v.kind"] == "GENERATE"
    assert b"canary4711" not in b"".join(bodies)


def test_a_collector_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    with live_server(tmp_path / "data", trace_endpoint="http://127.0.0.1:9") as server:
        assert server.wait_for_end(server.submit().name).state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert server.stop() == 0
