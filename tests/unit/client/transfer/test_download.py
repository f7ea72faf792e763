"""Downloads arrive complete: across breaks and damage, into the right folder, and nowhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import grpc
import pytest

from fakes.scripted_server import Script
from layert2v.v1 import jobs_pb2
from layert2v_client import (
    Client,
    Job,
    NotPossible,
    ServerUnavailable,
    TransferFailed,
    TransferOptions,
)
from layert2v_client.transfer import download
from layert2v_client.transfer.download import SEGMENT_BYTES

FILES = {"stack.json": b"{}", "bg/v001/a.exr": b"0123456789" * 3, "empty": b"", "b": b"some"}


@pytest.fixture
def job(client: Client, script: Script) -> Job:
    script.files = dict(FILES)
    done = jobs_pb2.Job(name="jobs/1", revision=5, state=jobs_pb2.JOB_STATE_SUCCEEDED)
    script.jobs["jobs/1"] = done
    return client.job("jobs/1")


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_arrives_the_manifest_last(job: Job, script: Script, tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    options = TransferOptions(report=lambda done, total: reported.append((done, total)))
    folder = job.download(tmp_path / "fox", options)
    assert content(folder) == FILES
    assert script.read_from[-1][0] == "artifact:stack.json"
    assert reported[-1] == (36, 36)
    assert reported == sorted(reported)


def test_files_that_are_there_are_not_downloaded_again(
    job: Job, script: Script, tmp_path: Path
) -> None:
    job.download(tmp_path)
    asked = len(script.read_from)
    job.download(tmp_path)
    assert len(script.read_from) == asked


def test_a_broken_read_continues_where_it_stopped(job: Job, script: Script, tmp_path: Path) -> None:
    script.break_reads_after = [2, 0, 3]
    assert content(job.download(tmp_path)) == FILES
    offsets = [offset for name, offset in script.read_from if name.endswith("a.exr")]
    assert offsets == [0, 8, 8, 20]


def test_a_damaged_chunk_is_requested_again(job: Job, script: Script, tmp_path: Path) -> None:
    script.damaged_reads = [0]
    assert content(job.download(tmp_path)) == FILES


def test_a_later_call_continues_the_partial_file(
    job: Job, client: Client, script: Script, tmp_path: Path
) -> None:
    script.break_reads_after = [3] + [0] * 9
    with pytest.raises(ServerUnavailable):
        download.download_stack(
            client._connection, job.status(), tmp_path, TransferOptions(retry_timeout_s=0.3)
        )
    (partial,) = (tmp_path / "bg" / "v001").iterdir()
    assert partial.read_bytes() == FILES["bg/v001/a.exr"][:12]
    script.break_reads_after.clear()
    script.read_from.clear()
    assert content(job.download(tmp_path)) == FILES
    assert script.read_from[0][1] == 12


def test_a_partial_file_with_wrong_bytes_is_dropped(
    job: Job, script: Script, tmp_path: Path
) -> None:
    digest = hashlib.sha256(FILES["b"]).hexdigest()
    (tmp_path / f".b.{digest[:12]}.part").write_bytes(b"XY")
    assert content(job.download(tmp_path)) == FILES
    assert [offset for name, offset in script.read_from if name.endswith(":b")] == [2, 0]


def test_a_file_that_is_wrong_on_the_server(job: Job, script: Script, tmp_path: Path) -> None:
    script.promised = {"b": b"emos"}
    with pytest.raises(TransferFailed) as caught:
        job.download(tmp_path)
    assert caught.value.reason == "FILE_DAMAGED"
    assert set(content(tmp_path)) == {"bg/v001/a.exr", "empty"}


def test_retries_of_damaged_and_short_files_end(
    job: Job, client: Client, script: Script, tmp_path: Path
) -> None:
    script.damaged_reads = list(range(99))
    with pytest.raises(TransferFailed, match="damaged again"):
        download.download_stack(
            client._connection, job.status(), tmp_path, TransferOptions(retry_timeout_s=0.3)
        )
    script.damaged_reads = []
    script.promised = {"b": b"some more"}
    with pytest.raises(TransferFailed, match="ends early"):
        download.download_stack(
            client._connection, job.status(), tmp_path, TransferOptions(retry_timeout_s=0.3)
        )


def test_nothing_of_the_artists_is_overwritten(job: Job, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(TransferFailed, match="another file") as caught:
        job.download(tmp_path)
    assert caught.value.reason == "FILE_EXISTS"
    assert (tmp_path / "b").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["../b", "/tmp/b", "x/../../b", "", "con", "a\\b"])
def test_a_server_cannot_write_elsewhere(
    job: Job, script: Script, tmp_path: Path, path: str
) -> None:
    script.files = {path: b"evil"}
    with pytest.raises(TransferFailed) as caught:
        job.download(tmp_path / "fox")
    assert caught.value.reason == "PATH_UNSAFE"
    assert list(tmp_path.iterdir()) == []


def test_a_link_out_of_the_folder_is_not_followed(job: Job, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox" / "bg").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransferFailed, match="outside"):
        job.download(tmp_path / "fox")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_cannot_be_written(job: Job, tmp_path: Path) -> None:
    (tmp_path / "fox").write_bytes(b"a file")
    with pytest.raises(TransferFailed, match="cannot be written"):
        job.download(tmp_path / "fox")


def test_only_a_success_has_files(client: Client, script: Script, tmp_path: Path) -> None:
    script.jobs["jobs/1"] = jobs_pb2.Job(name="jobs/1", state=jobs_pb2.JOB_STATE_RUNNING)
    with pytest.raises(NotPossible, match="is running"):
        client.job("jobs/1").download(tmp_path)


def test_files_on_the_same_disk_are_copied(job: Job, script: Script, tmp_path: Path) -> None:
    origin = job.download(tmp_path / "origin")
    script.jobs["jobs/1"].local_path = str(origin)
    script.read_from.clear()
    assert content(job.download(tmp_path / "copy")) == FILES
    assert script.read_from == []


def test_files_on_the_same_disk_that_went_bad_are_fetched(
    job: Job, script: Script, tmp_path: Path
) -> None:
    origin = job.download(tmp_path / "origin")
    script.jobs["jobs/1"].local_path = str(origin)
    (origin / "b").write_bytes(b"bad!")
    (origin / "empty").unlink()
    assert content(job.download(tmp_path / "copy")) == FILES


@pytest.mark.parametrize("place", ["relative", "/nowhere/at/all"])
def test_a_local_path_of_another_machine(
    job: Job, script: Script, tmp_path: Path, place: str
) -> None:
    script.jobs["jobs/1"].local_path = place
    assert content(job.download(tmp_path)) == FILES


def test_a_file_larger_than_one_read(job: Job, script: Script, tmp_path: Path) -> None:
    script.chunk_bytes = 1024 * 1024
    script.files = {"big": bytes(SEGMENT_BYTES + 5)}
    assert content(job.download(tmp_path)) == script.files
    assert [offset for _, offset in script.read_from] == [0, SEGMENT_BYTES]


def test_other_errors_are_raised_at_once(job: Job, script: Script, tmp_path: Path) -> None:
    status = job.status()
    script.refuse = [(grpc.StatusCode.FAILED_PRECONDITION, None)]
    with pytest.raises(NotPossible):
        download.download_stack(job._connection, status, tmp_path)


def test_a_link_to_a_damaged_file_of_the_server_is_dropped(
    job: Job, client: Client, script: Script, tmp_path: Path
) -> None:
    """And the server's own file is never written to."""
    shared = tmp_path / "server"
    shared.mkdir()
    for path, data in FILES.items():
        (shared / path).parent.mkdir(parents=True, exist_ok=True)
        (shared / path).write_bytes(data)
    (shared / "b").write_bytes(b"so")
    script.jobs["jobs/1"].local_path = str(shared)
    folder = job.download(tmp_path / "fox", TransferOptions(link=True))
    assert content(folder) == FILES
    assert (shared / "b").read_bytes() == b"so"
    assert (folder / "stack.json").samefile(shared / "stack.json")
