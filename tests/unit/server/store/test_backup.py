"""Backups: what is copied, what is skipped, what is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.errors import ConfigError
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.backup import CopyReport, back_up, restore
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.rows import new_row

SPEC = GenerateSpec(prompt="a fox", seed=7)
SHARED = b"the same in both"


class Server:
    """A data folder with its stores."""

    def __init__(self, data: Path) -> None:
        data.mkdir()
        self.data = data
        self.store = JobStore(open_database(data / "jobs.sqlite3"))
        self.artifacts = ArtifactStore(data / "jobs", min_free_bytes=0)

    def finish_job(self, letter: str) -> str:
        """Register a finished job with a file of its own and a shared one."""
        job_id, records = letter * 32, []
        for path, content in (("bg/1.exr", SHARED), ("fg/1.exr", letter.encode())):
            file = self.artifacts.stack_folder(job_id) / path
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            records.append(FileRecord(path=path, size_bytes=len(content), sha256=sha256))
        self.store.register("anna", new_row(job_id, SPEC, "", 1.0), records, ())
        return job_id


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    yield server
    server.store.close()


def ignore(*_: int) -> None:
    pass


def run_backup(server: Server) -> tuple[Path, CopyReport]:
    target = server.data.parent / "backup"
    return target, back_up(server.data, target, ignore)


def test_a_second_backup_copies_what_is_new(server: Server) -> None:
    first = server.finish_job("a")
    target, report = run_backup(server)
    assert (report.jobs, report.files, report.damaged) == (1, 2, [])
    second = server.finish_job("b")
    os.utime(server.data / "jobs" / first / "stack" / "bg" / "1.exr", (1, 1))
    target, report = run_backup(server)
    assert (report.jobs, report.files, report.copied_bytes) == (2, 4, 1)
    shared = [target / "jobs" / job / "stack" / "bg" / "1.exr" for job in (first, second)]
    assert shared[0].stat().st_ino == shared[1].stat().st_ino
    server.store.delete(first)
    target, report = run_backup(server)
    assert (report.jobs, report.copied_bytes) == (1, 0)
    assert [path.name for path in (target / "jobs").iterdir()] == [second]


def test_a_job_that_is_deleted_meanwhile_is_not_in_the_backup(server: Server) -> None:
    jobs = [server.finish_job("a"), server.finish_job("b")]

    def delete_last(done: int, *_: int) -> None:
        if done == 1:
            server.artifacts.begin_deletion(jobs[1])

    target = server.data.parent / "backup"
    report = back_up(server.data, target, delete_last)
    assert (report.jobs, report.files, report.damaged) == (1, 2, [])
    restored = server.data.parent / "restored"
    assert restore(target, restored, ignore).jobs == 1
    store = JobStore(open_database(restored / "jobs.sqlite3"))
    assert store.list_ids() == {jobs[0]}
    assert store.used_bytes() == len(SHARED) + 1
    store.close()


def test_damaged_files_are_named(server: Server) -> None:
    job = server.finish_job("a")
    (server.data / "jobs" / job / "stack" / "fg" / "1.exr").unlink()
    target, report = run_backup(server)
    assert report.damaged == [f"jobs/{job}/stack/fg/1.exr is missing"]
    (target / "jobs" / job / "stack" / "bg" / "1.exr").write_bytes(b"something else..")
    report = restore(target, server.data.parent / "restored", ignore)
    assert f"jobs/{job}/stack/bg/1.exr is damaged" in report.damaged


def test_what_runs_is_backed_up_with_its_source(server: Server) -> None:
    job = server.store.create("anna", "r1", SPEC, SPEC).id
    source = server.artifacts.source_folder(job) / "stack" / "a.exr"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"source")
    target, _ = run_backup(server)
    assert (target / source.relative_to(server.data)).read_bytes() == b"source"


def test_other_folders_are_refused(server: Server, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "holiday.jpg").touch()
    for target, problem in (
        (full, "is not empty, and no backup"),
        (server.data / "backup", "does not belong into the data folder"),
    ):
        with pytest.raises(ConfigError, match=problem):
            back_up(server.data, target, ignore)
    with pytest.raises(ConfigError, match="no database of a server"):
        back_up(full, tmp_path / "backup", ignore)
    with pytest.raises(ConfigError, match="is no backup"):
        restore(full, tmp_path / "new", ignore)
    target, _ = run_backup(server)
    with pytest.raises(ConfigError, match="something in the data folder"):
        restore(target, server.data, ignore)
    assert not (tmp_path / "new").exists()


def test_a_backup_that_cannot_be_written_says_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        back_up(server.data, tmp_path / "file" / "backup", ignore)
