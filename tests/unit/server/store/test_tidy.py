"""What a start removes, and that a clock that has jumped removes nothing."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.retention import (
    DAY_S,
    MAX_REST_DAYS,
    DataStores,
    Retention,
    find_expired,
    note_use,
    remove_expired,
)
from layert2v_server.store.rows import new_row
from layert2v_server.store.tidy import tidy
from layert2v_server.store.uploads import UploadStore

SPEC = GenerateSpec(prompt="a fox", seed=7)
NOW = 1_800_000_000.0


class Folder:
    """A data folder with something old in its trash."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.engine = open_database(data / "jobs.sqlite3")
        self.store = JobStore(self.engine)
        self.artifacts = ArtifactStore(data / "jobs", min_free_bytes=0)
        self.uploads = UploadStore(data / "uploads", max_bytes=100)
        self.old = data / "trash" / f"{int(NOW - 8 * DAY_S)}_old"
        self.old.mkdir(parents=True)

    @property
    def stores(self) -> DataStores:
        return DataStores(
            data=self.data, jobs=self.store, artifacts=self.artifacts, uploads=self.uploads
        )

    def finish_job(self, job_id: str, finished: float) -> Path:
        """Register a job that ended then, with one file; return the folder of its stack."""
        stack = self.artifacts.stack_folder(job_id)
        stack.mkdir(parents=True)
        (stack / "a.exr").write_bytes(b"12345")
        file = FileRecord(path="a.exr", size_bytes=5, sha256=job_id * 2)
        self.store.register("anna", new_row(job_id, SPEC, "", finished), [file], ())
        return stack

    def tidy(self, now: float) -> None:
        retention = Retention(uploads_days=7, trash_days=7)
        tidy(self.stores, retention, now)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.engine.dispose()


def test_what_is_old_is_deleted(folder: Folder) -> None:
    note_use(folder.data, NOW - DAY_S)
    folder.tidy(NOW)
    assert not folder.old.exists()


@pytest.mark.parametrize("rest_days", [MAX_REST_DAYS + 1, 20_000, -1, None])
def test_a_clock_that_jumps_deletes_nothing(folder: Folder, rest_days: float | None) -> None:
    if rest_days is not None:
        note_use(folder.data, NOW - rest_days * DAY_S)
    folder.tidy(NOW)
    assert folder.old.exists()
    folder.tidy(NOW + 60)  # it has not jumped again
    assert not folder.old.exists()


def test_what_a_job_in_quarantine_starts_from_stays(folder: Folder) -> None:
    gone = Failure(reason="QUARANTINED", message="Its workers died.")
    sources = []
    for request, outcome in (("r1", "record_death"), ("r2", "mark_failed")):
        folder.store.create("anna", request, SPEC, SPEC)
        for _ in range(2 if outcome == "record_death" else 1):
            job = folder.store.claim("cpu", 30.0)
            assert job is not None
            arguments = [gone, gone] if outcome == "record_death" else [gone]
            getattr(folder.store, outcome)(job.id, job.attempt, *arguments)
        sources.append(folder.artifacts.source_folder(job.id))
        sources[-1].mkdir(parents=True)
    folder.tidy(NOW)
    assert [source.exists() for source in sources] == [True, False]


def test_jobs_are_removed_after_their_time_with_their_files(folder: Folder) -> None:
    stack = folder.finish_job("a" * 32, NOW - 11 * DAY_S)
    younger = folder.finish_job("b" * 32, NOW - 9 * DAY_S)
    waiting = folder.store.create("anna", "r1", SPEC, SPEC)
    note_use(folder.data, NOW - DAY_S)
    retention = Retention(jobs_days=10, uploads_days=7, trash_days=7)
    found = {each.kind: each for each in find_expired(folder.stores, retention, NOW)}
    assert found.keys() == {"job", "trash"}
    assert (found["job"].name, found["job"].size_bytes) == (f"jobs/{'a' * 32} of anna", 5)
    assert found["job"].age_days == pytest.approx(11)
    assert stack.exists()  # only found
    folder.tidy(NOW)  # without a limit for jobs
    assert stack.exists()
    assert len(remove_expired(folder.stores, retention, NOW)) == 1
    assert not stack.parent.exists()
    assert younger.exists()
    assert folder.store.list_ids() == {"b" * 32, waiting.id}
    assert folder.store.used_bytes() == 5
    assert remove_expired(folder.stores, retention, NOW) == []


def test_a_note_that_is_none_deletes_nothing(folder: Folder) -> None:
    (folder.data / "last_used").write_text("yesterday")
    folder.tidy(NOW)
    assert folder.old.exists()


def test_stacks_of_jobs_that_did_not_succeed_go_into_the_trash(folder: Folder) -> None:
    folder.store.create("anna", "r1", SPEC, SPEC)
    job = folder.store.claim("gpu", 30.0)
    assert job is not None
    folder.artifacts.stack_folder(job.id).mkdir(parents=True)
    folder.store.mark_failed(job.id, job.attempt, Failure(reason="X", message="It failed."))
    folder.tidy(NOW)
    assert not folder.artifacts.stack_folder(job.id).exists()
    names = [path.name for path in (folder.data / "trash").iterdir()]
    assert any(name.endswith(f"_{job.id}_stack") for name in names)


def test_a_link_in_the_inbox_stops_nothing_and_is_not_followed(folder: Folder) -> None:
    """Whoever sees the data folder may put anything there."""
    now = time.time() + 8 * DAY_S
    outside = folder.data.parent / "outside"
    outside.mkdir()
    (outside / "film").write_bytes(bytes(1000))
    inbox = folder.stores.inbox.open()
    (inbox.root / "a").symlink_to(outside)
    (inbox.root / "b").symlink_to("/dev/null/nothing")
    (inbox.root / "c").symlink_to(inbox.root / "c")
    note_use(folder.data, now - DAY_S)
    retention = Retention(uploads_days=7, trash_days=7)
    found = [each for each in find_expired(folder.stores, retention, now) if "offered" in each.kind]
    assert [each.name for each in sorted(found, key=lambda each: each.name)] == ["a", "b", "c"]
    assert sum(each.size_bytes for each in found) < 1000
    remove_expired(folder.stores, retention, now)
    assert list(inbox.root.iterdir()) == []
    assert (outside / "film").stat().st_size == 1000


def test_a_file_that_cannot_be_looked_at_stops_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = folder.stores.inbox.open()
    (inbox.root / "a").write_bytes(b"1")
    lstat, calls = Path.lstat, []

    def gone_the_second_time(path: Path) -> Any:
        if path.parent == inbox.root:
            calls.append(path)
            if len(calls) > 1:
                raise FileNotFoundError(errno.ENOENT, "gone", str(path))
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", gone_the_second_time)
    now = time.time() + 8 * DAY_S
    note_use(folder.data, now)
    retention = Retention(uploads_days=7, trash_days=7)
    assert {each.kind for each in find_expired(folder.stores, retention, now)} >= {"offered file"}
