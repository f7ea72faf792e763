"""Back up a data folder, also while its server runs, and make a data folder of a backup.

    <backup>/jobs.sqlite3      the database as it was at one moment
    <backup>/jobs/<job id>/    the files of the jobs in it, as in a data folder
    <backup>/uploads/
    <backup>/backup.json       which makes the folder a backup

The database comes first. Files of a finished job are there before its row says so, and never
change: those of the rows at that moment are there afterwards, unless a job is deleted meanwhile,
which then is not in the backup. Into the folder of an earlier backup, only what is new is copied;
until the new database takes its place, the earlier backup stays usable.

What is in a bucket is not copied: the database says which objects belong to what.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import layert2v
from layert2v.atomic_write import atomic_write
from layert2v.stack import FileRecord, is_safe_path
from layert2v_server.domain.state import TERMINAL_STATES, JobState
from layert2v_server.errors import ConfigError
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.regular_file import open_regular

NOTE, DATABASE = "backup.json", "jobs.sqlite3"
_JOBS, _UPLOADS, _STACK, _SOURCE = "jobs", "uploads", "stack", "source"
_BESIDE_STACK = ("job.json", "preview.png")
_BLOCK_BYTES = 1 << 20
_PAGE = 1000

# Called with the jobs that are done, all jobs, and the bytes that were copied.
Progress = Callable[[int, int, int], None]


@dataclass(kw_only=True, slots=True)
class CopyReport:
    """What was copied; ``damaged`` names files that are missing or not what they were."""

    jobs: int = 0
    files: int = 0
    copied_bytes: int = 0
    damaged: list[str] = field(default_factory=list)


def back_up(data: Path, target: Path, progress: Progress) -> CopyReport:
    """Copy jobs, results and uploads of a data folder into the folder ``target``.

    Raises ``ConfigError`` where there is no data folder, or ``target`` holds something else.
    """
    _check_target(data, target)
    with _convert_errors("The backup cannot be written"):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot = target / f"{DATABASE}.new"
        for leftover in target.glob(f"{DATABASE}.new*"):  # of a backup that was interrupted
            leftover.unlink()
        copy_database(data / DATABASE, snapshot)
        with _open_store(snapshot) as store:
            report = _Copy(store, data, target, progress, may_be_deleted=True).run()
            known = store.list_ids()
        atomic_write(target / NOTE, json.dumps(_note(report)), mode=0o600)
        snapshot.replace(target / DATABASE)
        for folder in (target / _JOBS).glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
    return report


def restore(backup: Path, data: Path, progress: Progress) -> CopyReport:
    """Make the data folder ``data`` of a backup; every file is compared with its SHA-256.

    Raises ``ConfigError`` where ``backup`` is none, or something is in ``data`` already.
    """
    if not ((backup / NOTE).is_file() and (backup / DATABASE).is_file()):
        raise ConfigError(
            f"{backup} is no backup.", "Name a folder that layert2v-server backup has written."
        )
    with _convert_errors("The backup cannot be restored"):
        if data.exists() and any(data.iterdir()):
            raise ConfigError(
                f"There is something in the data folder {data} already.",
                "Name a new one with --data, or move that away; nothing is overwritten.",
            )
        growing = data.with_name(f".{data.name}.restoring")
        shutil.rmtree(growing, ignore_errors=True)  # of a call that was interrupted
        growing.mkdir(mode=0o700, parents=True)
        copy_database(backup / DATABASE, growing / DATABASE)
        with _open_store(growing / DATABASE) as store:
            report = _Copy(store, backup, growing, progress, may_be_deleted=False).run()
        if data.exists():
            data.rmdir()
        growing.rename(data)
    return report


class _Copy:
    """The copy of all files of the jobs in ``store``, from one folder to another."""

    def __init__(
        self,
        store: JobStore,
        source: Path,
        target: Path,
        progress: Progress,
        *,
        may_be_deleted: bool,
    ) -> None:
        self._store = store
        self._source = source
        self._target = target
        self._progress = progress
        self._may_be_deleted = may_be_deleted
        self._by_hash: dict[str, Path] = {}  # files that were copied, for others that are the same
        self._report = CopyReport()

    def run(self) -> CopyReport:
        """Copy everything."""
        ended = self._store.list_ids(TERMINAL_STATES) - self._store.quarantined_ids()
        finished = self._store.list_ids((JobState.SUCCEEDED,)) - self._store.list_stored()
        # First those that may still start: what they start from is deleted when they end.
        everyone = sorted(self._store.list_ids(), key=lambda job_id: (job_id in ended, job_id))
        for number, job_id in enumerate(everyone, 1):
            if job_id in finished:
                self._copy_finished(job_id)
            elif job_id not in ended:
                self._copy_folder(Path(_JOBS, job_id, _SOURCE))
            self._progress(number, len(everyone), self._report.copied_bytes)
        self._report.jobs = len(self._store.list_ids())
        self._copy_uploads()
        return self._report

    def _copy_finished(self, job_id: str) -> None:
        folder = Path(_JOBS, job_id)
        for name in _BESIDE_STACK:
            self._copy_if_there(folder / name)
        start, others = 0, self._report.files
        while files := self._store.list_artifacts(job_id, start=start, size=_PAGE):
            for file in files:
                if not self._copy_artifact(folder / _STACK / file.path, file):
                    if self._may_be_deleted and not (self._source / folder / _STACK).is_dir():
                        self._store.delete(job_id)
                        self._report.files = others
                        return
                    self._report.damaged.append(f"{folder / _STACK / file.path} is missing")
            start += len(files)

    def _copy_artifact(self, path: Path, file: FileRecord) -> bool:
        """Copy or link a file of a finished job; return whether it was there."""
        target = self._target / path
        if not is_safe_path(file.path):
            return False
        if not (target.is_file() and target.stat().st_size == file.size_bytes):
            twin = self._by_hash.get(file.sha256)
            if twin is None or not _link(twin, target):
                digest = self._copy_if_there(path)
                if digest and digest != file.sha256:
                    self._report.damaged.append(f"{path} is damaged")
                if digest != file.sha256:
                    return bool(digest)
        self._by_hash.setdefault(file.sha256, target)
        self._report.files += 1
        return True

    def _copy_uploads(self) -> None:
        names = {path.name for path in (self._source / _UPLOADS).glob("*")}
        for name in sorted(names):
            kept = self._target / _UPLOADS / name
            with contextlib.suppress(OSError):  # a complete one never changes
                size = (self._source / _UPLOADS / name).stat().st_size
                if name.endswith(".bin") and kept.stat().st_size == size:
                    continue
            self._copy_if_there(Path(_UPLOADS, name))
        for kept in (self._target / _UPLOADS).glob("*"):
            if kept.name not in names:
                kept.unlink()

    def _copy_folder(self, folder: Path) -> None:
        for path in (self._source / folder).rglob("*"):
            if path.is_file():
                self._copy_if_there(path.relative_to(self._source))

    def _copy_if_there(self, path: Path) -> str:
        """Copy a file; return its SHA-256, "" where there is none."""
        target = self._target / path
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(open_regular(self._source / path))
            except (FileNotFoundError, NotADirectoryError):
                return ""
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.part")
            with partial.open("wb", buffering=0) as file:
                while block := os.read(descriptor, _BLOCK_BYTES):
                    digest.update(block)
                    file.write(block)
                    self._report.copied_bytes += len(block)
            partial.replace(target)
        return digest.hexdigest()


def _check_target(data: Path, target: Path) -> None:
    if not (data / DATABASE).is_file():
        raise ConfigError(
            f"There is no database of a server in {data}.", "Name its data folder with --data."
        )
    if data == target or data in target.parents:
        raise ConfigError(
            "A backup does not belong into the data folder itself.", "Name a folder elsewhere."
        )
    if target.is_dir() and any(target.iterdir()):
        is_interrupted = any(target.glob(f"{DATABASE}.new*"))
        if not ((target / NOTE).is_file() or is_interrupted):
            raise ConfigError(
                f"{target} is not empty, and no backup.",
                "Name a new folder, or that of an earlier backup.",
            )


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, though others write to it."""
    address = f"file:{urllib.parse.quote(str(source))}?mode=rw"
    try:
        with (
            contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as reading,
            contextlib.closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
    except sqlite3.Error as error:
        raise ConfigError(
            f"The database {source} cannot be copied: {error}.",
            "Check who may read it, and the space of the disk.",
        ) from error
    target.chmod(0o600)


@contextlib.contextmanager
def _open_store(database: Path) -> Iterator[JobStore]:
    store = JobStore(open_database(database))
    try:
        yield store
    finally:
        store.close()


def _link(existing: Path, target: Path) -> bool:
    """Make a hard link; tell whether the disk has them."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        target.unlink(missing_ok=True)
        os.link(existing, target)
    except OSError:
        return False
    return True


def _note(report: CopyReport) -> dict[str, object]:
    return {
        "version": layert2v.__version__,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "jobs": report.jobs,
        "files": report.files,
        "damaged": report.damaged,
    }


@contextlib.contextmanager
def _convert_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{what}: {error.strerror} ({error.filename}).",
            "Correct that and run the same command again; it goes on where it stopped.",
        ) from error
