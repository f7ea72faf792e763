"""The folders of results: one per job, filled by a worker, published whole or not at all.

    <root>/<job id>/source/            what a re-render starts from, until the job has ended
    <root>/<job id>/attempt_1/stack/   what a worker is writing; nobody else looks in
    <root>/<job id>/stack/             the published stack
    <root>/<job id>/preview.png        the newest picture of unfinished work

Paths here are made of ids and numbers of our own and of paths that a worker reported, never of a
client's words; those of a source were checked before. Blocking; the server calls it in threads.

Files that jobs share are hard links: unchanged layers take no new room, and a file is gone when the
last job that has it is deleted.
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

from layert2v.stack import FileRecord, is_safe_path
from layert2v.wire import CHUNK_BYTES, MAX_PREVIEW_BYTES
from layert2v_server.errors import (
    ArtifactNotFound,
    DiskFull,
    FilesMissing,
    JobNotFound,
    SourceNotFound,
    WorkerLost,
)
from layert2v_server.store.database import disk_full_as_error

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_STACK, _PREVIEW, _SOURCE = "stack", "preview.png", "source"
BROUGHT = "brought.json"  # a list of the files of a source that a client brought


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """What a re-render starts from, by place in the source folder: files that are here already,
    texts to be written, and which of the files nobody looked into yet."""

    files: Mapping[str, Path]
    texts: Mapping[str, str]
    brought: Sequence[str]


class ArtifactStore:
    """Results under `root`; a job is refused while less than `min_free_bytes` are free there."""

    def __init__(self, root: Path, *, min_free_bytes: int) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self._min_free_bytes = min_free_bytes

    def attempt_folder(self, job_id: str, attempt: int) -> Path:
        """Where the worker of one attempt writes its stack; made by the worker."""
        return self._job(job_id) / f"attempt_{attempt}" / _STACK

    def stack_folder(self, job_id: str) -> Path:
        """Where the published stack is."""
        return self._job(job_id) / _STACK

    def preview_path(self, job_id: str) -> Path:
        """Where the worker puts the newest preview."""
        return self._job(job_id) / _PREVIEW

    def source_folder(self, job_id: str) -> Path:
        """Where `stage` puts what a re-render starts from."""
        return self._job(job_id) / _SOURCE

    def stage(self, job_id: str, staged: Staged) -> None:
        """Lay ready what a re-render starts from, so that nothing else needs to stay.

        Raises `FilesMissing` where a file went away meanwhile, and `DiskFull`.
        """
        folder = self.source_folder(job_id)
        with disk_full_as_error():
            folder.mkdir(parents=True)
            texts = {**staged.texts, BROUGHT: json.dumps(list(staged.brought))}
            for place in (
                staged.files.keys() - texts.keys()
            ):  # a text must not land in a shared file
                _link(staged.files[place], folder / place)
            for place, text in texts.items():
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                (folder / place).write_text(text, encoding="utf-8")

    def copy_source(self, job_id: str, attempt: int) -> None:
        """Give an attempt its own folder of the stack that a re-render starts from.

        Raises `SourceNotFound` and `DiskFull`.
        """
        source, folder = self.source_folder(job_id) / _STACK, self.attempt_folder(job_id, attempt)
        if not source.is_dir():
            raise SourceNotFound(f"jobs/{job_id}")
        with disk_full_as_error():
            for path in source.rglob("*"):
                if path.is_file():
                    _link(path, folder / path.relative_to(source))

    def release(self, job_ids: Iterable[str]) -> None:
        """Forget what jobs that have ended started from."""
        for job_id in job_ids:
            shutil.rmtree(self.source_folder(job_id), ignore_errors=True)

    def prepare(self, job_id: str) -> None:
        """Make room for a new attempt: nothing of an earlier one stays. Raises `DiskFull`."""
        if not self.has_room():
            raise DiskFull
        self.clear(job_id)
        with disk_full_as_error():
            self._job(job_id).mkdir(exist_ok=True)

    def publish(self, job_id: str, attempt: int, files: Sequence[FileRecord]) -> None:
        """Make a finished attempt the job's stack, after a look at every file it reported.

        Other files go. Raises `WorkerLost` where a file is missing, has another size or lies
        outside the folder.
        """
        folder = self.attempt_folder(job_id, attempt)
        for file in files:
            path = folder / file.path
            if not (is_safe_path(file.path) and path.is_file() and not path.is_symlink()):
                raise WorkerLost("The worker reported a file that is not there.")
            if path.stat().st_size != file.size_bytes:
                raise WorkerLost("The worker reported a file of another size.")
        try:
            _keep_only(folder, {file.path for file in files})
            folder.rename(self.stack_folder(job_id))
            folder.parent.rmdir()
        except OSError as error:
            raise WorkerLost("The finished stack could not be put in its place.") from error

    def clear(self, job_id: str) -> None:
        """Remove every attempt and any stack of the job, whole or half; preview and source stay."""
        folder = self._job(job_id)
        for child in folder.iterdir() if folder.is_dir() else ():
            if child.is_dir() and child.name != _SOURCE:
                shutil.rmtree(child, ignore_errors=True)  # an orphan may still be writing into it

    def delete(self, job_id: str) -> None:
        """Remove all that the job left."""
        shutil.rmtree(self._job(job_id), ignore_errors=True)

    def delete_unknown(self, known: set[str]) -> None:
        """Remove the folders of jobs that no longer exist."""
        for child in self.root.iterdir():
            if _JOB_ID.fullmatch(child.name) and child.name not in known:
                self.delete(child.name)

    def preview(self, job_id: str) -> bytes | None:
        """The newest preview as PNG of at most 64 KiB, if there is one."""
        try:
            data = self.preview_path(job_id).read_bytes()
        except FileNotFoundError:
            return None
        return data if len(data) <= MAX_PREVIEW_BYTES else None

    def free_bytes(self) -> int:
        """What the disk still takes."""
        return shutil.disk_usage(self.root).free

    def has_room(self) -> bool:
        """Whether a job may start."""
        return self.free_bytes() >= self._min_free_bytes

    def _job(self, job_id: str) -> Path:
        if not _JOB_ID.fullmatch(job_id):
            raise JobNotFound(f"jobs/{job_id}")
        return self.root / job_id


def _keep_only(folder: Path, kept: Set[str]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in kept:
            path.unlink()


def _link(path: Path, target: Path) -> None:
    """Give a file another name; on disks without such names, copy it."""
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


def read_chunks(path: Path, offset: int, size: int) -> Iterator[bytes]:
    """`size` bytes of a file from `offset` on, in chunks. Raises `ArtifactNotFound`."""
    try:
        # A link that somebody put there must not lead out of the store.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ArtifactNotFound(path.name) from error
    with os.fdopen(descriptor, "rb") as file:
        file.seek(offset)
        while size > 0 and (data := file.read(min(CHUNK_BYTES, size))):
            size -= len(data)
            yield data
