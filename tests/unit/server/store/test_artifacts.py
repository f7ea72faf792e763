"""Result folders: published completely or not at all, and never outside the store."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.special_files import SPECIAL_FILES, make_special
from layert2v.decompose import SCRATCH_FOLDER
from layert2v.stack import FileRecord
from layert2v_server.errors import (
    DiskFull,
    FilesMissing,
    JobNotFound,
    SourceNotFound,
    WorkerLost,
)
from layert2v_server.store.artifacts import ArtifactStore, StagedSource
from layert2v_server.store.stored_file import StoredFile
from layert2v_server.store.trash import Trash

JOB = "a" * 32
DATA = b"0123456789"


def record(path: str, size_bytes: int = len(DATA)) -> FileRecord:
    return FileRecord(path=path, size_bytes=size_bytes, sha256=hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    store = ArtifactStore(tmp_path / "jobs", min_free_bytes=0)
    store.prepare_attempt(JOB, 1)
    attempt = store.attempt_folder(JOB, 1)
    (attempt / "bg").mkdir(parents=True)
    (attempt / "bg" / "bg.1001.exr").write_bytes(DATA)
    return store


def publish(store: ArtifactStore, files: list[FileRecord]) -> None:
    store.check_attempt(JOB, 1, files)
    store.publish(JOB, 1)


def test_a_finished_attempt_becomes_the_stack(store: ArtifactStore) -> None:
    publish(store, [record("bg/bg.1001.exr")])
    assert (store.stack_folder(JOB) / "bg" / "bg.1001.exr").read_bytes() == DATA
    assert not store.attempt_folder(JOB, 1).parent.exists()


@pytest.mark.parametrize(
    "file",
    [
        record("bg/bg.1002.exr"),
        record("bg/bg.1001.exr", 9),
        record("../secret"),
        record("/etc/passwd"),
        record("bg"),
    ],
)
def test_reported_files_are_checked(store: ArtifactStore, file: FileRecord) -> None:
    with pytest.raises(WorkerLost):
        publish(store, [file])
    assert not store.stack_folder(JOB).exists()


def test_symbolic_links_are_refused(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    link = store.attempt_folder(JOB, 1) / "link.exr"
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(WorkerLost):
        publish(store, [record("link.exr")])


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_only_regular_files_are_published(store: ArtifactStore, kind: str) -> None:
    make_special(store.attempt_folder(JOB, 1) / "odd.exr", kind)
    with pytest.raises(WorkerLost):
        publish(store, [record("odd.exr", 0)])


def test_a_link_on_the_way_to_a_file_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_bytes(DATA)
    (store.attempt_folder(JOB, 1) / "layer").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WorkerLost):
        publish(store, [record("layer/secret")])


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_a_preview_that_is_no_file_is_none(store: ArtifactStore, kind: str) -> None:
    make_special(store.preview_path(JOB), kind)
    assert store.read_preview(JOB) is None


def test_a_deletion_is_undone_or_completed(store: ArtifactStore, tmp_path: Path) -> None:
    publish(store, [record("bg/bg.1001.exr")])
    trash = Trash(tmp_path / "trash")
    assert store.begin_deletion(JOB)
    assert not store.begin_deletion(JOB)
    assert store.unknown_stacks(set()) == set()  # a rebuild does not find it
    store.complete_deletions({JOB}, trash)
    assert (store.stack_folder(JOB) / "bg" / "bg.1001.exr").read_bytes() == DATA
    store.begin_deletion(JOB)
    store.complete_deletions(set(), trash)
    assert list(store.root.iterdir()) == []
    assert len(list(trash.root.iterdir())) == 1


def test_a_deletion_takes_the_folder(store: ArtifactStore) -> None:
    store.begin_deletion(JOB)
    store.end_deletion(JOB)
    store.undo_deletion(JOB)
    assert list(store.root.iterdir()) == []


def test_a_new_attempt_deletes_earlier_ones(store: ArtifactStore) -> None:
    publish(store, [record("bg/bg.1001.exr")])
    store.attempt_folder(JOB, 2).mkdir(parents=True)
    store.preview_path(JOB).write_bytes(b"png")
    store.prepare_attempt(JOB, 1)
    assert [path.name for path in (store.root / JOB).iterdir()] == ["preview.png"]
    assert store.read_preview(JOB) == b"png"


def test_half_a_note_is_deleted(store: ArtifactStore) -> None:
    (store.root / JOB / ".job.json-abc.tmp").touch()
    store.clear_attempts(JOB)
    assert list((store.root / JOB).iterdir()) == []


def test_deleting_removes_all_files(store: ArtifactStore) -> None:
    store.delete(JOB)
    store.delete(JOB)
    assert list(store.root.iterdir()) == []
    assert store.read_preview(JOB) is None


def test_folders_without_a_job_go_into_the_trash(store: ArtifactStore, tmp_path: Path) -> None:
    (store.root / "notes").mkdir()
    store.discard_orphans(set(), Trash(tmp_path / "trash"))
    assert [path.name for path in store.root.iterdir()] == ["notes"]
    (kept,) = (tmp_path / "trash").iterdir()
    assert kept.name.endswith(f"_{JOB}")


@pytest.mark.parametrize("job", ["", "..", "../" + JOB, "A" * 32, JOB + "/x"])
def test_only_job_ids_name_a_folder(store: ArtifactStore, job: str) -> None:
    with pytest.raises(JobNotFound):
        store.stack_folder(job)


def test_an_attempt_needs_free_space(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, min_free_bytes=1 << 62)
    with pytest.raises(DiskFull):
        store.prepare_attempt(JOB, 1)


def staged_source(folder: Path, untrusted: dict[str, bool] | None = None) -> StagedSource:
    path = folder / "bg.exr"
    path.write_bytes(DATA)
    file = StoredFile(path=path, size_bytes=len(DATA), untrusted=False)
    files = {"stack/bg/v001/bg.exr": file, "inputs/mine/0001.exr": file}
    return StagedSource(
        owner="anna", files=files, texts={"stack/stack.json": "{}"}, untrusted=untrusted or {}
    )


def test_attempts_link_the_files_of_the_source(store: ArtifactStore, tmp_path: Path) -> None:
    store.stage_source(JOB, staged_source(tmp_path, {"inputs/mine/0001.exr": True}))
    (tmp_path / "bg.exr").unlink()
    store.prepare_attempt(JOB, 1)
    store.copy_source(JOB, 2)
    folder = store.attempt_folder(JOB, 2)
    shared = store.source_folder(JOB) / "stack" / "bg" / "v001" / "bg.exr"
    assert (folder / "bg" / "v001" / "bg.exr").samefile(shared)
    assert (folder / "stack.json").read_text() == "{}"
    assert (
        store.source_folder(JOB) / "brought.json"
    ).read_text() == '{"inputs/mine/0001.exr": true}'


def test_files_are_copied_on_disks_without_hard_links(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    store.stage_source(JOB, staged_source(tmp_path))
    copy = store.source_folder(JOB) / "inputs" / "mine" / "0001.exr"
    assert copy.read_bytes() == DATA
    assert copy.stat().st_nlink == 1


def test_a_source_file_that_was_deleted_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    source = staged_source(tmp_path)
    (tmp_path / "bg.exr").unlink()
    with pytest.raises(FilesMissing, match=r"(bg|0001)\.exr"):
        store.stage_source(JOB, source)


def test_a_manifest_listed_as_a_frame_changes_no_shared_file(
    store: ArtifactStore, tmp_path: Path
) -> None:
    source = staged_source(tmp_path)
    mine = source.files["stack/bg/v001/bg.exr"]
    store.stage_source(JOB, replace(source, files={"stack/stack.json": mine}))
    assert (tmp_path / "bg.exr").read_bytes() == DATA
    assert (store.source_folder(JOB) / "stack" / "stack.json").read_text() == "{}"


def test_the_source_of_an_ended_job_is_deleted(store: ArtifactStore, tmp_path: Path) -> None:
    store.stage_source(JOB, staged_source(tmp_path))
    store.release_sources([JOB])
    store.release_sources([JOB])
    assert not store.source_folder(JOB).exists()
    with pytest.raises(SourceNotFound):
        store.copy_source(JOB, 1)


def test_unreported_files_are_not_published(store: ArtifactStore) -> None:
    older = store.attempt_folder(JOB, 1) / "fg_01" / "v001" / "fg.exr"
    older.parent.mkdir(parents=True)
    older.write_bytes(DATA)
    publish(store, [record("bg/bg.1001.exr")])
    assert sorted(p.name for p in store.stack_folder(JOB).rglob("*")) == ["bg", "bg.1001.exr"]


def test_what_a_lost_attempt_had_finished_is_kept_for_the_next(store: ArtifactStore) -> None:
    scratch = store.attempt_folder(JOB, 1) / SCRATCH_FOLDER
    scratch.mkdir()
    (scratch / "found").touch()
    store.clear_attempt(JOB, 1)
    store.prepare_attempt(JOB, 2)
    assert [*store.attempt_folder(JOB, 2).rglob("*")] == [
        store.attempt_folder(JOB, 2) / SCRATCH_FOLDER,
        store.attempt_folder(JOB, 2) / SCRATCH_FOLDER / "found",
    ]
    store.clear_attempts(JOB)
    store.release_sources([JOB])
    assert list((store.root / JOB).iterdir()) == []


def test_publishing_again_changes_nothing(store: ArtifactStore) -> None:
    publish(store, [record("bg/bg.1001.exr")])
    store.publish(JOB, 1)
    assert (store.stack_folder(JOB) / "bg" / "bg.1001.exr").read_bytes() == DATA


def test_a_stack_of_an_attempt_that_lost_its_job_is_replaced(store: ArtifactStore) -> None:
    (store.stack_folder(JOB) / "late").mkdir(parents=True)
    publish(store, [record("bg/bg.1001.exr")])
    assert [path.name for path in store.stack_folder(JOB).iterdir()] == ["bg"]


def test_an_attempt_that_lost_its_job_leaves_the_others_alone(store: ArtifactStore) -> None:
    store.attempt_folder(JOB, 2).mkdir(parents=True)
    store.discard_attempt(JOB, 1)
    store.clear_attempt(JOB, 1)
    assert [path.name for path in (store.root / JOB).iterdir()] == ["attempt_2"]
