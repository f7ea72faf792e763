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
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from layert2v.atomic_write import atomic_write
from layert2v.decompose import SCRATCH_FOLDER
from layert2v.stack import FileRecord, is_safe_path
from layert2v.wire import MAX_PREVIEW_BYTES
from layert2v_server.errors import (
    DiskFull,
    FilesMissing,
    JobNotFound,
    SourceNotFound,
    StorageFailed,
    WorkerLost,
)
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import is_regular, read_regular
from layert2v_server.store.trash import Trash
from layert2v_server.worker.messages import UNTRUSTED_LIST

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_STACK, _PREVIEW, _SOURCE, _NOTE = "stack", "preview.png", "source", "job.json"
_VIEWER = "viewer"
_KEPT = "kept"  # the scratch folder on its way from one attempt to the next
_DELETED = "deleted_"  # before the id of a job whose row is about to go


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedSource:
    """The files of a re-render's source, by path in the source folder.

    ``files`` are here already, ``texts`` are still to be written, ``untrusted`` names those of the
    files that were uploaded and not decoded yet, and tells of each if it is opened as an image.
    """

    files: Mapping[str, Path]
    texts: Mapping[str, str]
    untrusted: Mapping[str, bool]


class ArtifactStore:
    """Results under ``root``; no job starts while less than ``min_free_bytes`` are free there."""

    def __init__(self, root: Path, *, min_free_bytes: int) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self._min_free_bytes = min_free_bytes

    def attempt_folder(self, job_id: str, attempt: int) -> Path:
        """Return the folder in which one attempt writes its stack; the worker makes it."""
        return self._job_folder(job_id) / f"attempt_{attempt}" / _STACK

    def stack_folder(self, job_id: str) -> Path:
        """Return the folder of the published stack."""
        return self._job_folder(job_id) / _STACK

    def viewer_folder(self, job_id: str) -> Path:
        """Return the folder of the viewer that is made when somebody first looks at the stack."""
        return self._job_folder(job_id) / _VIEWER

    def preview_path(self, job_id: str) -> Path:
        """Return the path of the newest preview, which the worker writes."""
        return self._job_folder(job_id) / _PREVIEW

    def source_folder(self, job_id: str) -> Path:
        """Return the folder in which ``stage_source`` puts the files of a re-render."""
        return self._job_folder(job_id) / _SOURCE

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
                _link_or_copy(staged.files[path], folder / path)
            for path, text in texts.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")

    def copy_source(self, job_id: str, attempt: int) -> None:
        """Copy the stack that a re-render starts from into the folder of an attempt, as hard links.

        Raises ``SourceNotFound`` and ``DiskFull``.
        """
        source, folder = self.source_folder(job_id) / _STACK, self.attempt_folder(job_id, attempt)
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
            shutil.rmtree(self._job_folder(job_id) / _KEPT, ignore_errors=True)

    def prepare_attempt(self, job_id: str, attempt: int) -> None:
        """Delete earlier attempts and make the job's folder. Raises ``DiskFull``.

        What an engine had finished in an attempt that was lost is put into the folder of this one.
        """
        if not self.has_space():
            raise DiskFull
        self.clear_attempts(job_id)
        kept = self._job_folder(job_id) / _KEPT
        with convert_os_errors():
            self._job_folder(job_id).mkdir(exist_ok=True)
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

    def publish(self, job_id: str, attempt: int) -> None:
        """Move a checked attempt to the job's stack folder; once more, it changes nothing.

        Only for whoever holds the job at this moment: a stack of somebody who held it before is
        replaced. Raises ``WorkerLost``.
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

    def clear_attempt(self, job_id: str, attempt: int) -> None:
        """Delete one attempt, except what its engine had finished for the next one."""
        folder = self.attempt_folder(job_id, attempt)
        with contextlib.suppress(OSError):  # without it, the next attempt begins anew
            (folder / SCRATCH_FOLDER).rename(self._job_folder(job_id) / _KEPT)
        shutil.rmtree(folder.parent, ignore_errors=True)

    def discard_attempt(self, job_id: str, attempt: int) -> None:
        """Delete everything of an attempt that lost its job to another one."""
        shutil.rmtree(self.attempt_folder(job_id, attempt).parent, ignore_errors=True)

    def clear_attempts(self, job_id: str) -> None:
        """Delete every attempt and any stack of a job without a result; preview and source stay.

        So does what the engine of a lost attempt had finished, for the next one.
        """
        folder = self._job_folder(job_id)
        for scratch in folder.glob(f"attempt_*/{_STACK}/{SCRATCH_FOLDER}"):
            with contextlib.suppress(OSError):  # without it, the next attempt begins anew
                scratch.rename(folder / _KEPT)
        for child in folder.iterdir() if folder.is_dir() else ():
            if child.is_dir() and child.name not in (_SOURCE, _KEPT):
                shutil.rmtree(child, ignore_errors=True)  # an orphan may still be writing into it
            elif child.name.startswith("."):  # half a note, of a server that was killed
                with contextlib.suppress(OSError):
                    child.unlink()

    def delete(self, job_id: str) -> None:
        """Delete the folder of a job that is in no database."""
        shutil.rmtree(self._job_folder(job_id), ignore_errors=True)

    def begin_deletion(self, job_id: str) -> bool:
        """Rename the folder of a job that is about to be deleted, so that nothing finds it.

        Where the server ends before the deletion does, its next start completes or undoes it: no
        rebuild brings back what its owner has deleted. Return whether there was a folder here.
        Raises ``StorageFailed``.
        """
        with convert_os_errors(), contextlib.suppress(FileNotFoundError):
            self._job_folder(job_id).rename(self._deleted_folder(job_id))
            return True
        return False

    def undo_deletion(self, job_id: str) -> None:
        """Bring back the folder of a job that stays after all."""
        with convert_os_errors(), contextlib.suppress(FileNotFoundError):
            self._deleted_folder(job_id).rename(self._job_folder(job_id))

    def end_deletion(self, job_id: str) -> None:
        """Delete what ``begin_deletion`` has renamed."""
        shutil.rmtree(self._deleted_folder(job_id), ignore_errors=True)

    def complete_deletions(self, known: Set[str], trash: Trash) -> None:
        """Complete the deletions that a kill cut short; undo those of jobs that are ``known``."""
        for folder in self.root.glob(f"{_DELETED}*"):
            job_id = folder.name.removeprefix(_DELETED)
            if job_id not in known:
                trash.put(folder)
            elif _JOB_ID.fullmatch(job_id):
                with contextlib.suppress(StorageFailed):
                    self.undo_deletion(job_id)

    def unknown_jobs(self, known: Set[str]) -> set[str]:
        """Return the ids of folders here that are not of ``known`` jobs."""
        return {
            child.name
            for child in self.root.iterdir()
            if _JOB_ID.fullmatch(child.name) and child.name not in known
        }

    def unknown_stacks(self, known: Set[str]) -> set[str]:
        """Return the ids of jobs that are not ``known`` and have a published stack."""
        unknown = self.unknown_jobs(known)
        return {job_id for job_id in unknown if self.stack_folder(job_id).is_dir()}

    def discard_orphans(self, known: Set[str], trash: Trash) -> int:
        """Move the folders of jobs that are not ``known`` into the trash; return their number.

        Those with a published stack stay where they are.
        """
        unknown = self.unknown_jobs(known) - self.unknown_stacks(known)
        for job_id in unknown:
            trash.put(self._job_folder(job_id))
        return len(unknown)

    def discard_unpublished(self, job_ids: Iterable[str], trash: Trash) -> None:
        """Move stacks of jobs that failed or were cancelled into the trash.

        There is one where the server ended between the end of the files and that of the job.
        """
        for job_id in job_ids:
            if self.stack_folder(job_id).is_dir():
                trash.put(self.stack_folder(job_id), f"{job_id}_{_STACK}")

    def note_path(self, job_id: str) -> Path:
        """Return the path of the note from which the job can be registered again."""
        return self._job_folder(job_id) / _NOTE

    def write_note(self, job_id: str, text: str) -> None:
        """Write that note. Raises ``DiskFull`` and ``StorageFailed``."""
        with convert_os_errors():
            atomic_write(self.note_path(job_id), text)

    def read_preview(self, job_id: str) -> bytes | None:
        """Return the newest preview as PNG of at most 64 KiB, if there is one."""
        try:
            return read_regular(self.preview_path(job_id), MAX_PREVIEW_BYTES)
        except OSError:  # a watch goes on without it
            return None

    def free_bytes(self) -> int:
        """Return the free bytes of the disk. Raises ``StorageFailed`` where the folder is gone."""
        with convert_os_errors():
            return shutil.disk_usage(self.root).free

    def has_space(self) -> bool:
        """Tell if there is enough free space for a job to start."""
        return self.free_bytes() >= self._min_free_bytes

    def _deleted_folder(self, job_id: str) -> Path:
        return self.root / f"{_DELETED}{self._job_folder(job_id).name}"

    def _job_folder(self, job_id: str) -> Path:
        if not _JOB_ID.fullmatch(job_id):
            raise JobNotFound(f"jobs/{job_id}")
        return self.root / job_id


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
