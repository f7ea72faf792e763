"""Jobs over a real connection: submit, watch across breaks and restarts, cancel, list, delete."""

from __future__ import annotations

import threading
import time
import uuid

import grpc
import pytest

from fakes.scripted_server import Script, ScriptedServer, update
from layert2v.spec import GenerateSpec
from layert2v.v1 import errors_pb2, jobs_pb2, server_pb2
from layert2v_client import (
    AccessDenied,
    Client,
    JobCancelled,
    JobFailed,
    JobState,
    NotFound,
    ServerUnavailable,
    connect,
)

RUNNING = jobs_pb2.JOB_STATE_RUNNING
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED
NAME = "jobs/1"


def end_job(script: Script, state: jobs_pb2.JobState = SUCCEEDED) -> None:
    script.updates = [update(NAME, k, RUNNING) for k in (2, 3, 4)] + [update(NAME, 5, state)]


def test_the_same_request_id_is_the_same_job(client: Client, script: Script) -> None:
    request_id = uuid.uuid4()
    first = client.submit(GenerateSpec("a fox"), request_id)
    again = client.submit(GenerateSpec("a fox"), request_id)
    other = client.submit(GenerateSpec("a fox"))
    assert first.name == again.name != other.name
    assert len(script.submitted) == 2


def test_a_submit_is_repeated_when_the_connection_breaks(client: Client, script: Script) -> None:
    script.refuse = [(grpc.StatusCode.UNAVAILABLE, None), (grpc.StatusCode.CANCELLED, None)]
    assert client.submit(GenerateSpec("a fox")).name == NAME
    assert len(script.submitted) == 1


def test_status_and_unknown_jobs(client: Client) -> None:
    job = client.submit(GenerateSpec("a fox", seed=3))
    status = job.status()
    assert (status.state, status.revision, status.spec.seed) == (JobState.queued, 1, 3)
    with pytest.raises(NotFound) as caught:
        client.job("jobs/none").status()
    assert caught.value.reason == "JOB_NOT_FOUND"


def test_all_pages_of_jobs(client: Client) -> None:
    names = [client.submit(GenerateSpec("a fox")).name for _ in range(5)]
    assert [status.name for status in client.jobs()] == names
    assert list(client.jobs([JobState.failed])) == []


def test_a_watch_runs_to_the_end(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    end_job(script)
    script.updates[1].preview.data = b"png"
    updates = list(job.watch())
    assert [u.status.revision for u in updates] == [2, 3, 4, 5]
    assert [u.preview.data for u in updates if u.preview] == [b"png"]
    assert job.wait().state is JobState.succeeded


def test_a_broken_watch_continues_after_the_last_revision(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    end_job(script)
    script.break_watches_after = [0, 2, 1]
    assert [u.status.revision for u in job.watch()] == [2, 3, 4, 5]
    assert script.watched_from == [0, 0, 3, 4]


def test_a_watch_lives_through_a_restart(client: Client, server: ScriptedServer) -> None:
    job = client.submit(GenerateSpec("a fox"))
    end_job(server.script)
    server.script.break_watches_after = [1]
    updates = iter(job.watch())
    assert next(updates).status.revision == 2
    server.stop()
    threading.Timer(0.5, server.start).start()
    assert [u.status.revision for u in updates] == [3, 4, 5]


def test_a_watch_gives_up_when_the_server_stays_away(
    client: Client, server: ScriptedServer
) -> None:
    job = client.submit(GenerateSpec("a fox"))
    server.stop()
    with pytest.raises(ServerUnavailable, match=server.address):
        list(job.watch(retry_timeout_s=0.5))


def test_a_watch_from_the_last_revision_ends_at_once(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    end_job(script)
    list(job.watch())
    assert list(job.watch(from_revision=5)) == []


def test_a_stream_that_ends_early_is_started_again(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    end_job(script)
    later = script.updates.pop()
    threading.Timer(0.3, lambda: script.updates.append(later)).start()
    assert [u.status.revision for u in job.watch()] == [2, 3, 4, 5]


def test_a_watch_is_closed_from_another_thread(client: Client, server: ScriptedServer) -> None:
    job = client.submit(GenerateSpec("a fox"))
    server.stop()
    watch = job.watch()
    threading.Timer(0.3, watch.close).start()
    start = time.monotonic()
    assert list(watch) == []
    assert time.monotonic() - start < 10


def test_other_errors_end_the_watch(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    script.refuse = [(grpc.StatusCode.PERMISSION_DENIED, None)]
    with pytest.raises(AccessDenied):
        list(job.watch())


def test_wait_says_why_it_failed(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    end_job(script, jobs_pb2.JOB_STATE_FAILED)
    detail = errors_pb2.ErrorDetail(reason="DISK_FULL", message="No room.", hint="Make some.")
    script.updates[-1].job.error.CopyFrom(detail)
    with pytest.raises(JobFailed, match="No room") as caught:
        job.wait()
    assert (caught.value.reason, caught.value.hint) == ("DISK_FULL", "Make some.")
    script.updates[-1].job.ClearField("error")
    with pytest.raises(JobFailed, match="does not say why"):
        job.wait()


def test_cancel_and_delete(client: Client, script: Script) -> None:
    job = client.submit(GenerateSpec("a fox"))
    script.cancelled_update = update(NAME, 9, jobs_pb2.JOB_STATE_CANCELLED)
    assert job.cancel().name == NAME
    with pytest.raises(JobCancelled):
        job.wait()
    job.delete()
    with pytest.raises(NotFound):
        job.status()


def test_the_token_is_required(server: ScriptedServer) -> None:
    bearer = server.script.bearer = "open sesame"
    with connect(server.address) as nobody, pytest.raises(AccessDenied, match="token"):
        nobody.info()
    with connect(server.address, token=bearer) as somebody:
        assert somebody.info().models == ()


def test_info(client: Client, script: Script) -> None:
    script.info = server_pb2.ServerInfo(version="0.1.0", capabilities=["upload"])
    assert client.info().version == "0.1.0"
    assert client.info().capabilities == ("upload",)
