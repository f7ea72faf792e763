"""The client and the real server, with real workers and an engine that needs no model."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer
from layert2v import stack
from layert2v.spec import GenerateSpec
from layert2v_client import (
    Client,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    JobState,
    NotFound,
    NotPossible,
    connect,
)
from layert2v_client.transfer import (
    TransferOptions,
    download,
    find_missing,
    local_file,
    upload_files,
)
from layert2v_client.transfer.shared_disk import SharedInbox

MIB = 1 << 20


def spec(behaviour: Behaviour | None = None, **more: object) -> GenerateSpec:
    """Return a request that the fake engine answers as told."""
    instructions = (behaviour or Behaviour()).to_prompt()
    return GenerateSpec(**{"prompt": "a fox", "negative_prompt": instructions, "seed": 7, **more})


def test_a_prompt_becomes_a_stack(client: Client, tmp_path: Path) -> None:
    job = client.submit(spec())
    updates = list(job.watch())
    revisions = [update.status.revision for update in updates]
    assert revisions == sorted(set(revisions))
    assert updates[-1].status.state is JobState.succeeded
    assert any(update.preview and update.preview.data.startswith(b"\x89PNG") for update in updates)
    made = stack.read(job.download(tmp_path / "fox"))
    assert made.layers[0].name == "bg"
    for record in made.files():
        assert (tmp_path / "fox" / record.path).stat().st_size == record.size_bytes


def test_downloads_and_copies_have_the_same_bytes(client: Client, tmp_path: Path) -> None:
    job = client.submit(spec(Behaviour(frame_bytes=3_000_000), frames=1))
    status = job.wait()
    assert Path(status.local_path, "stack.json").exists()
    near = job.download(tmp_path / "near")
    far = download.download_stack(client._connection, _elsewhere(status), tmp_path / "far")
    files = [path.relative_to(near) for path in near.rglob("*") if path.is_file()]
    assert len(files) == status.artifact_count
    assert all((near / path).read_bytes() == (far / path).read_bytes() for path in files)


def test_an_upload_of_several_chunks(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedInbox, "link", lambda *_: None)
    path = tmp_path / "plate"
    path.write_bytes(os.urandom(2 * MIB + 5))
    whole = local_file(path)
    upload_files(client._connection, {whole.sha256: whole}, uuid.uuid4(), TransferOptions())
    assert not find_missing(client._connection, [whole.sha256])
    path.write_bytes(os.urandom(3 * MIB))
    changed = local_file(path)
    os.truncate(path, MIB + 7)
    with pytest.raises(InvalidRequest, match="is not the file any more that it was"):
        upload_files(client._connection, {changed.sha256: changed}, uuid.uuid4(), TransferOptions())


def _elsewhere(status: download.JobStatus) -> download.JobStatus:
    """Return the status as a client on another machine would use it."""
    return replace(status, local_path="/another/machine")


def test_the_same_request_id_is_one_job(client: Client) -> None:
    request_id = uuid.uuid4()
    first, again = (client.submit(spec(), request_id) for _ in range(2))
    assert first.name == again.name
    with pytest.raises(InvalidRequest, match="request id"):
        client.submit(spec(prompt="an owl"), request_id)


def test_cancel_in_mid_job(client: Client) -> None:
    job = client.submit(spec(Behaviour(step_s=0.05), steps=1000))
    for update in job.watch():
        if update.status.state is JobState.running and update.status.progress:
            job.cancel()
            break
    with pytest.raises(JobCancelled):
        job.wait()
    with pytest.raises(NotPossible, match="is cancelled"):
        job.download(Path("never"))


def test_a_watch_is_closed_from_another_thread(client: Client) -> None:
    job = client.submit(spec(Behaviour(step_s=0.1), steps=1000))
    watch = job.watch()
    threading.Timer(0.5, watch.close).start()
    assert all(not update.status.state.is_final for update in watch)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait()


def test_a_failure_says_why_and_what_to_do(client: Client) -> None:
    with pytest.raises(JobFailed, match="does not know this word") as caught:
        client.submit(spec(Behaviour(fault="engine_error"))).wait()
    assert caught.value.hint == "Use another word."


def test_wrong_fields_come_back_with_their_names(client: Client) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.submit(spec(width=33, frames=3, colorspace="sRGB"))
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {"width", "frames", "colorspace"}
    with pytest.raises(InvalidRequest) as caught:
        client.submit(spec(model="wan"))
    assert [violation.field for violation in caught.value.violations] == ["model"]


def test_list_and_delete(client: Client) -> None:
    job = client.submit(spec())
    job.wait()
    assert next(client.jobs()).name == job.name
    assert job.name in {status.name for status in client.jobs([JobState.succeeded])}
    job.delete()
    with pytest.raises(NotFound):
        job.status()


def test_server_info(client: Client, live: LiveServer) -> None:
    client.submit(spec()).wait()
    info = client.info()
    assert info.models[0].vocabulary["subject"] == ("fox", "owl")
    assert info.free_bytes > 0
    assert [device.ready for device in info.devices] == [True]


def test_a_watch_outlives_the_server(tmp_path: Path) -> None:
    """kill -9 in mid-job: the next server on the same port and folder runs the job again."""
    server = LiveServer(tmp_path / "data")
    address = server.ready["address"]
    with connect(address) as client:
        job = client.submit(spec(Behaviour(step_s=0.1), steps=30))
        seen = []
        for update in job.watch():
            seen.append(update.status)
            if len(seen) == 3:
                server.kill()
                server = LiveServer(tmp_path / "data", address=address)
    assert server.stop() == 0
    assert (seen[-1].state, seen[-1].attempt) == (JobState.succeeded, 2)
    revisions = [status.revision for status in seen]
    assert revisions == sorted(set(revisions))
