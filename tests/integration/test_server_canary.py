"""A token and the words of a prompt are nowhere but in the store and with their owner."""

from __future__ import annotations

import contextlib
import http.client
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import grpc
import psutil
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import REPOSITORY, WAIT_TIMEOUT_S, LiveServer, environment, live_server
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v_server.auth import add_entry, make_token

ANNA, ANNA_ENTRY = make_token("anna")
BERT, BERT_ENTRY = make_token("bert")
WRONG = "canary-of-a-token-that-nobody-has"
WORDS = "canary-of-a-prompt"
SECRETS = (ANNA, BERT, WRONG, WORDS)
STORE = ("jobs", "jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "tmp").mkdir()
    for entry in (ANNA_ENTRY, BERT_ENTRY):
        add_entry(folder / "tokens", entry)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    paths = f"{REPOSITORY}/tests/fakes/debug_logging{os.pathsep}{environment()['PYTHONPATH']}"
    settings = {"web_address": "127.0.0.1:0", "metrics_address": "0.0.0.0:0", "lease_s": 20.0}
    with live_server(
        folder / "data",
        token_file=str(folder / "tokens"),
        variables={"PYTHONPATH": paths, "TMPDIR": str(folder / "tmp")},
        **settings,
    ) as server:
        server.connect(ANNA)
        yield server


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def get(address: str, method: str, path: str, body: str = "", **headers: str) -> tuple[str, str]:
    """Return the answer and the cookie of a request over HTTP."""
    port = int(address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return f"{answer.headers}{answer.read().decode(errors='replace')}", cookie


def processes(server: LiveServer) -> list[psutil.Process]:
    first = psutil.Process(server.process.pid)
    return [first, *first.children(recursive=True)]


def refusal(server: LiveServer, token: str, request: jobs_pb2.CreateJobRequest) -> str:
    metadata = (("authorization", f"Bearer {token}"),)
    with pytest.raises(grpc.RpcError) as caught:
        server.jobs.CreateJob(request, metadata=metadata, timeout=WAIT_TIMEOUT_S)
    return str(caught.value)


@pytest.fixture(scope="module")
def jobs(server: LiveServer) -> list[str]:
    """Make jobs that succeed, fail in two ways, and are cancelled; return their names."""
    faults = ("", "engine_error", "quote_prompt")
    names = [
        server.submit(prompt=WORDS, background_prompt=WORDS, behaviour=Behaviour(fault=fault)).name
        for fault in faults
    ]
    for name in names:
        server.wait_for_end(name)
    running = server.submit(prompt=WORDS, behaviour=Behaviour(step_s=0.05), steps=100).name
    server.wait(running, lambda job: job.progress.done > 0)
    shown = [part for process in processes(server) for part in process.cmdline()]
    shown += [str(process.environ()) for process in processes(server)]
    assert leaks(" ".join(shown)) == []
    server.cancel(running)
    server.wait_for_end(running)
    return [*names, running]


def test_errors_do_not_repeat_what_was_asked(server: LiveServer, jobs: list[str]) -> None:
    spec = jobs_pb2.GenerateSpec(prompt=WORDS * 1000, model=WORDS, colorspace=WORDS)
    request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    for token in (ANNA, WRONG):
        found = leaks(refusal(server, token, request))
        assert found in ([], [WORDS])  # of the caller's own words
        assert ANNA not in found
    assert leaks(refusal(server, WRONG, request)) == []


def test_another_user_sees_nothing(server: LiveServer, jobs: list[str]) -> None:
    metadata = (("authorization", f"Bearer {BERT}"),)
    listed = server.jobs.ListJobs(jobs_pb2.ListJobsRequest(), metadata=metadata, timeout=9)
    assert not listed.jobs
    for name in jobs:
        for call, request in (
            (server.jobs.GetJob, jobs_pb2.GetJobRequest(name=name)),
            (server.jobs.CancelJob, jobs_pb2.CancelJobRequest(name=name)),
            (server.files.ListArtifacts, artifacts_pb2.ListArtifactsRequest(job=name)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call(request, metadata=metadata, timeout=9)
            assert leaks(str(caught.value)) == []


def test_pages_and_metrics_show_nothing_to_others(server: LiveServer, jobs: list[str]) -> None:
    web = server.ready["web"]
    texts = [get(server.ready["metrics"], "GET", "/metrics", Authorization=f"Bearer {BERT}")[0]]
    texts.append(get(web, "POST", "/login", urlencode({"token": WRONG}))[0])
    _, cookie = get(web, "POST", "/login", urlencode({"token": BERT}))
    for path in ("/jobs", "/jobs/rows", *(f"/{name}" for name in jobs), "/nowhere"):
        texts.append(get(web, "GET", path, Cookie=cookie)[0])
    assert "layert2v_jobs" in texts[0]
    assert leaks("".join(texts)) == []
    _, own = get(web, "POST", "/login", urlencode({"token": ANNA}))
    assert WORDS in get(web, "GET", "/jobs", Cookie=own)[0]  # the owner sees it


def test_logs_of_every_level_and_files_hold_nothing(
    server: LiveServer, jobs: list[str], folder: Path
) -> None:
    refusal(server, WRONG, jobs_pb2.CreateJobRequest())
    get(server.ready["web"], "POST", "/login", urlencode({"token": WRONG}))
    log = server.log.read_text()
    assert " DEBUG " in log
    assert "no tokens for '[words of the request]'" in log
    assert leaks(log) == []
    for path in folder.rglob("*"):
        is_store = path.is_relative_to(folder / "data") and path.relative_to(folder / "data").parts[
            :1
        ] in [(name,) for name in STORE]
        if not is_store:
            assert leaks(path.name) == []
            if path.is_file():
                assert leaks(path.read_bytes().decode(errors="replace")) == [], path
    for path in (folder / "data").rglob("*"):  # tokens are nowhere, only their hashes
        if path.is_file():
            assert [
                s for s in leaks(path.read_bytes().decode(errors="replace")) if s != WORDS
            ] == []
    assert (folder / "data").stat().st_mode & 0o077 == 0
