"""The folders of results: one per job, filled by a worker, published whole or not at all.

    <root>/<job id>/attempt_1/stack/   what a worker is writing; nobody else looks in
    <root>/<job id>/stack/             the published stack
    <root>/<job id>/preview.png        the newest picture of unfinished work

Paths here are made of ids and numbers of our own and of paths that a worker reported, never of a
client's words. Blocking; the server calls it in threads.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from layert2v.stack import FileRecord, is_safe_path
from layert2v.wire import CHUNK_BYTES, MAX_PREVIEW_BYTES
from layert2v_server.errors import ArtifactNotFound, DiskFull, JobNotFound, WorkerLost
from layert2v_server.store.database import disk_full_as_error

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_STACK, _PREVIEW = "stack", "preview.png"


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

    def prepare(self, job_id: str) -> None:
        """Make room for a new attempt: nothing of an earlier one stays. Raises `DiskFull`."""
        if not self.has_room():
            raise DiskFull
        self.clear(job_id)
        with disk_full_as_error():
            self._job(job_id).mkdir(exist_ok=True)

    def publish(self, job_id: str, attempt: int, files: Sequence[FileRecord]) -> None:
        """Make a finished attempt the job's stack, after a look at every file it reported.

        Raises `WorkerLost` where a file is missing, has another size or lies outside the folder.
        """
        folder = self.attempt_folder(job_id, attempt)
        for file in files:
            path = folder / file.path
            if not (is_safe_path(file.path) and path.is_file() and not path.is_symlink()):
                raise WorkerLost("The worker reported a file that is not there.")
            if path.stat().st_size != file.size_bytes:
                raise WorkerLost("The worker reported a file of another size.")
        try:
            folder.rename(self.stack_folder(job_id))
            folder.parent.rmdir()
        except OSError as error:
            raise WorkerLost("The finished stack could not be put in its place.") from error

    def clear(self, job_id: str) -> None:
        """Remove every attempt and any stack of the job, whole or half; the preview stays."""
        folder = self._job(job_id)
        for child in folder.iterdir() if folder.is_dir() else ():
            if child.is_dir():
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
            raise JobNotFound(job_id)
        return self.root / job_id


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
