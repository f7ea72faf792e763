"""The folders of results: one for each job, filled by a worker, published completely or not at all.

    <root>/<job id>/source/            the files that a re-render starts from, until the job ends
    <root>/<job id>/attempt_1/stack/   the stack that a worker is writing; nobody else reads it
    <root>/<job id>/stack/             the published stack
    <root>/<job id>/preview.png        the newest preview of unfinished work
    <root>/<job id>/viewer/            the layers as a web page, once somebody has looked at them
    <root>/<job id>/job.json           what only the database knows else; see ``rebuild``
    <root>/deleted_<job id>/           a job that its owner is deleting

Paths here are built from ids and numbers of this server and from paths that a worker reported,
never from a client's text; those of a source were checked before. Blocking; the server calls it in
threads.

Files that jobs share are hard links: unchanged layers take no more space, and a file is gone when
the last job that has it is deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from layert2v.decompose import SCRATCH_FOLDER
from layert2v.stack import MANIFEST_NAME, FileRecord, is_safe_path
from layert2v.wire import MAX_PREVIEW_BYTES
from layert2v_server.errors import (
    DiskFull,
    FilesMissing,
    SourceNotFound,
    WorkerLost,
)
from layert2v_server.store.bucket.client import ObjectEntry
from layert2v_server.store.bucket.index import StoredObject
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.job_folders import SOURCE, STACK, JobFolders
from layert2v_server.store.regular_file import is_regular, read_regular
from layert2v_server.store.stored_file import LocalFile, Readable, StoredFile
from layert2v_server.worker.messages import UNTRUSTED_LIST

_HISTORY = "history"
_KEPT = "kept"  # the scratch folder on its way from one attempt to the next


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedSource:
    """The files of a re-render's source, by path in the source folder.

    ``files`` are here already, ``texts`` are still to be written, ``untrusted`` names those of the
    files that were uploaded and not decoded yet, and tells of each if it is opened as an image.
    """

    owner: str
    files: Mapping[str, StoredFile]
    texts: Mapping[str, str]
    untrusted: Mapping[str, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a worker has finished; ``untrusted`` are SHA-256 of files that nobody checked.

    ``note`` is the text from which the job can be registered again.
    """

    job_id: str
    attempt: int
    owner: str
    files: Sequence[FileRecord]
    untrusted: Collection[str]
    note: str


class ArtifactStore(JobFolders):
    """Results under ``root``."""

    is_remote = False  # whether results go from here to somewhere else

    def stage_source(self, job_id: str, staged: StagedSource) -> None:
        """Link or write the files that a re-render starts from into the job's source folder.

        From then on their own jobs may be deleted. Raises ``FilesMissing`` where a file was deleted
        meanwhile, and ``DiskFull``.
        """
        folder = self.source_folder(job_id)
        with convert_os_errors():
            folder.mkdir(parents=True)
            texts = {**staged.texts, UNTRUSTED_LIST: json.dumps(dict(staged.untrusted))}
            # Texts are never linked: writing one must not change a shared file.
            for path in staged.files.keys() - texts.keys():
                existing = staged.files[path].path
                if existing is None:
                    raise FilesMissing([path])
                _link_or_copy(existing, folder / path)
            for path, text in texts.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")

    def fetch_source(self, job_id: str, stop: threading.Event) -> None:
        """Bring the files that a re-render starts from here; they are."""

    def copy_source(self, job_id: str, attempt: int) -> None:
        """Copy the stack that a re-render starts from into the folder of an attempt, as hard links.

        Raises ``SourceNotFound`` and ``DiskFull``.
        """
        source, folder = self.source_folder(job_id) / STACK, self.attempt_folder(job_id, attempt)
        if not source.is_dir():
            raise SourceNotFound(f"jobs/{job_id}")
        with convert_os_errors():
            for path in source.rglob("*"):
                if path.is_file():
                    _link_or_copy(path, folder / path.relative_to(source))

    def release_sources(self, job_ids: Iterable[str]) -> None:
        """Delete the source files of jobs that have ended, and what was kept for a next attempt."""
        for job_id in job_ids:
            shutil.rmtree(self.source_folder(job_id), ignore_errors=True)
            shutil.rmtree(self.job_folder(job_id) / _KEPT, ignore_errors=True)

    def prepare_attempt(self, job_id: str, attempt: int) -> None:
        """Delete earlier attempts and make the job's folder. Raises ``DiskFull``.

        What an engine had finished in an attempt that was lost is put into the folder of this one.
        """
        if not self.has_space():
            raise DiskFull
        self.clear_attempts(job_id)
        kept = self.job_folder(job_id) / _KEPT
        with convert_os_errors():
            self.job_folder(job_id).mkdir(exist_ok=True)
            if kept.is_dir():
                target = self.attempt_folder(job_id, attempt)
                target.mkdir(parents=True)
                kept.rename(target / SCRATCH_FOLDER)

    def check_attempt(self, job_id: str, attempt: int, files: Sequence[FileRecord]) -> None:
        """Check every file that was reported of a finished attempt, and delete all others.

        Raises ``WorkerLost`` where a file is missing, has another size or lies outside the folder.
        """
        folder = self.attempt_folder(job_id, attempt)
        for file in files:
            path = folder / file.path
            if not (is_safe_path(file.path) and _is_inside(path, folder)):
                raise WorkerLost("The worker reported a file that is not there.")
            if path.stat().st_size != file.size_bytes:
                raise WorkerLost("The worker reported a file of another size.")
        with _convert_publishing_errors():
            _delete_all_but(folder, {file.path for file in files})

    def take_outcome(self, job_id: str, attempt: int) -> str:
        """Return the outcome that ``keep_outcome`` kept of an earlier attempt, now of this one.

        A result that only waits for its place is not lost with its server; here none waits.
        """
        return ""

    def keep_outcome(self, job_id: str, attempt: int, outcome: str) -> None:
        """Keep the outcome of an attempt whose files may have to wait for their place."""

    def store_result(self, result: Result, stop: threading.Event) -> None:
        """Check a result, and bring all of it to where it can be published at once.

        Raises ``WorkerLost``, ``DiskFull`` and ``StorageFailed``.
        """
        self.write_note(result.job_id, result.note)
        self.check_attempt(result.job_id, result.attempt, result.files)

    def publish(self, job_id: str, attempt: int, connection: Connection | None = None) -> None:
        """Move a checked attempt to the job's stack folder; once more, it changes nothing.

        ``connection`` has the transaction that ends the job. Only for whoever holds the job at
        this moment: a stack of somebody who held it before is replaced. Raises ``WorkerLost``.
        """
        folder, target = self.attempt_folder(job_id, attempt), self.stack_folder(job_id)
        with _convert_publishing_errors():
            if folder.is_dir():
                if target.is_dir():
                    shutil.rmtree(target)
                folder.rename(target)
                folder.parent.rmdir()
            elif not target.is_dir():
                raise WorkerLost("The finished stack is gone.")

    def end_publication(self, job_id: str, attempt: int) -> None:
        """Remove what is here of a result that is published elsewhere; nothing is."""

    def suspend_attempt(self, job_id: str, attempt: int) -> None:
        """Delete an attempt that this server gives back, except what the next one can use."""
        self.clear_attempt(job_id, attempt)

    def clear_attempt(self, job_id: str, attempt: int) -> None:
        """Delete one attempt, except what its engine had finished for the next one."""
        folder = self.attempt_folder(job_id, attempt)
        with contextlib.suppress(OSError):  # without it, the next attempt begins anew
            (folder / SCRATCH_FOLDER).rename(self.job_folder(job_id) / _KEPT)
        shutil.rmtree(folder.parent, ignore_errors=True)

    def discard_attempt(self, job_id: str, attempt: int) -> None:
        """Delete everything of an attempt that lost its job to another one."""
        shutil.rmtree(self.attempt_folder(job_id, attempt).parent, ignore_errors=True)

    def clear_attempts(self, job_id: str) -> None:
        """Delete every attempt and any stack of a job without a result; preview and source stay.

        So does what the engine of a lost attempt had finished, for the next one.
        """
        folder = self.job_folder(job_id)
        for scratch in folder.glob(f"attempt_*/{STACK}/{SCRATCH_FOLDER}"):
            with contextlib.suppress(OSError):  # without it, the next attempt begins anew
                scratch.rename(folder / _KEPT)
        for child in folder.iterdir() if folder.is_dir() else ():
            if child.is_dir() and child.name not in (SOURCE, _KEPT):
                shutil.rmtree(child, ignore_errors=True)  # an orphan may still be writing into it
            elif child.name.startswith("."):  # half a note, of a server that was killed
                with contextlib.suppress(OSError):
                    child.unlink()

    def read_preview(self, job_id: str) -> bytes | None:
        """Return the newest preview as PNG of at most 64 KiB, if there is one."""
        try:
            return read_regular(self.preview_path(job_id), MAX_PREVIEW_BYTES)
        except OSError:  # a watch goes on without it
            return None

    def store_preview(self, job_id: str) -> None:
        """Bring the preview that a worker has written to where every server reads it; it is."""

    def open_result(self, job_id: str, path: str) -> Readable:
        """Return a reader of a published file."""
        return LocalFile(self.stack_folder(job_id) / path)

    def manifest_files(self, job_id: str) -> dict[str, StoredFile]:
        """Return the manifests of a published stack by their places there."""
        folder = self.stack_folder(job_id)
        paths = (folder / MANIFEST_NAME, *sorted(folder.glob(f"{_HISTORY}/v*.json")))
        return {
            path.relative_to(folder).as_posix(): StoredFile(
                path=path, size_bytes=path.stat().st_size, untrusted=False
            )
            for path in paths
            if path.is_file()
        }

    def read_stored(self, file: StoredFile) -> bytes:
        """Return a file that is small. Raises ``OSError``."""
        if file.path is None:
            raise FileNotFoundError
        return file.path.read_bytes()

    def bring_stack(self, job_id: str) -> Path:
        """Return a folder with the whole published stack."""
        return self.stack_folder(job_id)

    def drop_stack(self, job_id: str) -> None:
        """Delete that folder where it was only brought."""

    def local_path(self, job_id: str) -> str:
        """Return the folder of a published stack for those who see it too; empty for none."""
        return str(self.stack_folder(job_id))

    def discard_leftovers(self, known: Set[str], open_jobs: Set[str]) -> None:
        """Delete what is here of jobs that have ended elsewhere; all of them end here."""

    def lost_results(self, known: Set[str]) -> Iterator[tuple[str, str, list[StoredObject]]]:
        """Yield id, note and objects of results in a bucket whose jobs are not ``known``."""
        return iter(())

    def hold_again(self, job_id: str, objects: Sequence[StoredObject]) -> None:
        """Hold the objects of a job that was registered again; there are none."""

    def unheld_objects(self, than: float, jobs: Set[str], finished: Set[str]) -> list[ObjectEntry]:
        """Return what lies in the bucket since before ``than`` and belongs to nothing."""
        return []

    def delete_objects(self, keys: Iterable[str]) -> None:
        """Delete objects of the bucket; there is none."""

    def close(self) -> None:
        """Begin no new transfers; there are none."""

    def problem(self) -> str:
        """Return why results cannot be read or stored at the moment, empty where they can."""
        return ""


@contextlib.contextmanager
def _convert_publishing_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkerLost("The finished stack could not be put in its place.") from error


def _is_inside(path: Path, folder: Path) -> bool:
    """Tell if a path leads to a regular file of the folder, over no link."""
    return is_regular(path) and path.resolve() == folder.resolve() / path.relative_to(folder)


def _delete_all_but(folder: Path, kept: Set[str]) -> None:
    for path in sorted(
        folder.rglob("*"), reverse=True
    ):  # the contents of a folder before the folder
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in kept:
            path.unlink()


def _link_or_copy(path: Path, target: Path) -> None:
    """Make a hard link to a file; copy it where the disk has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            os.link(path, target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(path, target, follow_symlinks=False)
    except FileNotFoundError as error:
        raise FilesMissing([target.name]) from error
