"""A real server whose results and uploads are in a bucket of a real S3-compatible server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, error_detail, live_server
from fakes.s3_server import KEY_ID, SECRET, Gate, S3Server
from fakes.stack_requests import FOX, find_missing, rerender, upload
from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2

SUCCEEDED, FAILED = jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_FAILED
CANCELLED = jobs_pb2.JOB_STATE_CANCELLED
MIB = 1 << 20


class Studio:
    """A bucket behind a gate, and the settings of servers that use it."""

    def __init__(self, s3: S3Server) -> None:
        self.s3, self.gate, self.bucket = s3, Gate(s3.port), s3.make_bucket()
        self._count = 0
        self.settings: dict[str, Any] = {
            "artifacts": f"s3://{self.bucket}/shots",
            "variables": s3.environment(self.gate.url),
        }

    def settings_of_its_own(self) -> dict[str, Any]:
        """Return settings for another database, below a prefix of its own."""
        self._count += 1
        return {**self.settings, "artifacts": f"s3://{self.bucket}/other-{self._count}"}

    def keys(self, kind: str) -> list[str]:
        return [key for key in self.s3.keys(self.bucket) if key.startswith(f"shots/{kind}/")]


@pytest.fixture(scope="module")
def studio(s3: S3Server) -> Iterator[Studio]:
    found = Studio(s3)
    yield found
    found.gate.close()


@pytest.fixture(scope="module")
def server(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    data = tmp_path_factory.mktemp("bucket") / "data"
    with live_server(data, **studio.settings) as server:
        yield server


def delete(server: LiveServer, name: str) -> None:
    server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=name))


def content(server: LiveServer, name: str, **part: int) -> bytes:
    return b"".join(message.chunk.data for message in server.read(name, **part))


def hashes(server: LiveServer, job: str) -> dict[str, str]:
    """Return the SHA-256 of what is read of each file of a job, by its path."""
    return {
        file.path: hashlib.sha256(content(server, file.name)).hexdigest()
        for file in server.artifacts(job)
    }


def test_a_result_is_in_the_bucket_and_read_from_there(server: LiveServer, studio: Studio) -> None:
    large = Behaviour(frame_bytes=5 * MIB + 3)
    job = server.wait_for_end(server.submit(behaviour=large, frames=1).name)
    assert (job.state, job.local_path) == (SUCCEEDED, "")
    files = server.artifacts(job.name)
    assert hashes(server, job.name) == {file.path: file.sha256 for file in files}
    biggest = max(files, key=lambda file: file.size_bytes)
    whole = content(server, biggest.name)
    for offset, limit in ((0, 10), (2 * MIB - 1, 3), (len(whole) - 5, 0), (len(whole), 0)):
        end = offset + limit if limit else len(whole)
        assert content(server, biggest.name, offset=offset, limit=limit) == whole[offset:end]
    assert len(studio.keys(f"files/{job.name[5:]}")) == len({file.sha256 for file in files})
    assert not (server.data / job.name).exists()
    assert server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest()).storage


def test_a_rerender_shares_objects_until_nobody_has_them(
    server: LiveServer, studio: Studio
) -> None:
    fox = server.wait_for_end(server.submit(seed=3).name)
    job = server.wait_for_end(rerender(server, FOX, fox.name).name)
    assert job.state == SUCCEEDED
    kept, new = ({file.sha256 for file in server.artifacts(name)} for name in (fox.name, job.name))
    assert len(studio.keys(f"files/{job.name[5:]}/1")) == len(new - kept)
    delete(server, fox.name)
    # A contact sheet may be that of another job before.
    assert len(new & kept) - 1 <= len(studio.keys(f"files/{fox.name[5:]}/1")) <= len(new & kept)
    assert hashes(server, job.name) == {
        file.path: file.sha256 for file in server.artifacts(job.name)
    }
    delete(server, job.name)
    for name in (fox.name, job.name):
        for kind in ("files", "notes", "previews"):
            assert studio.keys(f"{kind}/{name[5:]}") == []


def test_an_upload_is_in_the_bucket_and_deleted_there(server: LiveServer, studio: Studio) -> None:
    data = b"a plate" * 1000
    record = upload(server, data)
    (key,) = studio.keys("uploads")
    assert content(server, f"uploads/{key.split('/')[-2]}") == data
    assert find_missing(server, [record.sha256]) == []
    assert list((server.data / "uploads").iterdir()) == []
    same = upload(server, data)  # under another id, of the same object
    assert (same.sha256, studio.keys("uploads")) == (record.sha256, [key])
    request = artifacts_pb2.DeleteUploadsRequest(all=True)
    assert server.call(server.files.DeleteUploads, request).deleted == 2
    assert studio.keys("uploads") == []
    assert find_missing(server, [record.sha256]) == [record.sha256]


def test_a_result_waits_for_the_bucket_and_outlives_its_server(
    studio: Studio, tmp_path: Path
) -> None:
    settings = studio.settings_of_its_own()
    first = LiveServer(tmp_path / "data", **settings)
    studio.gate.set_mode("denied")
    job = first.submit(frames=1)
    waiting = first.wait(job.name, lambda job: "denies access" in job.progress.message)
    assert waiting.progress.message.startswith("Waiting: The server cannot use its bucket")
    info = first.call(first.info.GetServerInfo, server_pb2.GetServerInfoRequest())
    assert "denies access" in info.storage.problem
    first.kill()
    studio.gate.set_mode("open")
    with live_server(tmp_path / "data", **settings) as second:
        done = second.wait_for_end(job.name)
        assert (done.state, done.attempt) == (SUCCEEDED, 2)
        assert "takes over a finished result" in second.log.read_text()
        assert second.log.read_text().count("takes over") == 1
        assert hashes(second, job.name)
        assert second.unpublished_files() == []
        assert SECRET not in second.log.read_text()
        assert KEY_ID not in second.log.read_text()
    assert studio.s3.open_multipart_uploads(studio.bucket) == 0


def test_a_job_that_waits_for_the_bucket_can_be_cancelled(
    server: LiveServer, studio: Studio
) -> None:
    studio.gate.set_mode("closed")
    try:
        job = server.submit(frames=1)
        server.wait(job.name, lambda job: "cannot be reached" in job.progress.message)
        server.cancel(job.name)
        assert server.wait_for_end(job.name).state == CANCELLED
        with pytest.raises(grpc.RpcError) as caught:
            upload(server, b"late")
        assert error_detail(caught.value).reason == "STORAGE_FAILED"
    finally:
        studio.gate.set_mode("open")
    assert server.unpublished_files() == []
    assert studio.keys(f"files/{job.name[5:]}") == []
    assert server.wait_for_end(server.submit(frames=1).name).state == SUCCEEDED


def test_an_object_that_is_lost_is_said_to_be(server: LiveServer, studio: Studio) -> None:
    job = server.wait_for_end(server.submit(frames=1).name)
    file = server.artifacts(job.name)[0]
    (key,) = [key for key in studio.keys(f"files/{job.name[5:]}") if key.endswith(file.path)]
    studio.s3.delete(studio.bucket, key)
    with pytest.raises(grpc.RpcError) as caught:
        server.read(file.name)
    assert caught.value.code() == grpc.StatusCode.DATA_LOSS
    assert "not in the server's bucket any more" in caught.value.details()
    ended = server.wait_for_end(rerender(server, FOX, job.name).name)
    assert (ended.state, ended.error.reason) == (FAILED, "ARTIFACT_DAMAGED")


def test_a_lost_database_is_rebuilt_from_the_bucket(studio: Studio, tmp_path: Path) -> None:
    settings = studio.settings_of_its_own()
    with live_server(tmp_path / "one", **settings) as server:
        done = server.wait_for_end(server.submit(frames=1).name)
        known = hashes(server, done.name)
    with pytest.raises(AssertionError, match="are not of the jobs in this database"):
        LiveServer(tmp_path / "two", **settings)
    with pytest.raises(AssertionError, match="of jobs in this database are in a bucket"):
        LiveServer(tmp_path / "one")
    with live_server(tmp_path / "two", rebuild=True, **settings) as server:
        job = server.get(done.name)
        assert (job.spec, job.state, job.artifact_bytes) == (
            done.spec,
            SUCCEEDED,
            done.artifact_bytes,
        )
        assert hashes(server, done.name) == known
