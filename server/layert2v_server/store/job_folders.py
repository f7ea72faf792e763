"""The folders of jobs: where everything of a job lies, how they are deleted, and who knows them.

Paths here are built from ids and numbers of this server. Blocking; the server calls it in threads.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Set
from pathlib import Path

from layert2v.atomic_write import atomic_write
from layert2v_server.errors import JobNotFound, StorageFailed
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.trash import Trash

STACK, SOURCE = "stack", "source"

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_PREVIEW, _NOTE = "preview.png", "job.json"
_VIEWER = "viewer"
_DELETED = "deleted_"  # before the id of a job whose row is about to go


class JobFolders:
    """The folders under ``root``; no job starts while less than ``min_free_bytes`` are free."""

    def __init__(self, root: Path, *, min_free_bytes: int) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self._min_free_bytes = min_free_bytes

    def attempt_folder(self, job_id: str, attempt: int) -> Path:
        """Return the folder in which one attempt writes its stack; the worker makes it."""
        return self.job_folder(job_id) / f"attempt_{attempt}" / STACK

    def stack_folder(self, job_id: str) -> Path:
        """Return the folder of the published stack."""
        return self.job_folder(job_id) / STACK

    def viewer_folder(self, job_id: str) -> Path:
        """Return the folder of the viewer that is made when somebody first looks at the stack."""
        return self.job_folder(job_id) / _VIEWER

    def preview_path(self, job_id: str) -> Path:
        """Return the path of the newest preview, which the worker writes."""
        return self.job_folder(job_id) / _PREVIEW

    def source_folder(self, job_id: str) -> Path:
        """Return the folder in which ``stage_source`` puts the files of a re-render."""
        return self.job_folder(job_id) / SOURCE

    def delete(self, job_id: str) -> None:
        """Delete the folder of a job that is in no database."""
        shutil.rmtree(self.job_folder(job_id), ignore_errors=True)

    def begin_deletion(self, job_id: str) -> bool:
        """Rename the folder of a job that is about to be deleted, so that nothing finds it.

        Where the server ends before the deletion does, its next start completes or undoes it: no
        rebuild brings back what its owner has deleted. Return whether there was a folder here.
        Raises ``StorageFailed``.
        """
        with convert_os_errors(), contextlib.suppress(FileNotFoundError):
            self.job_folder(job_id).rename(self._deleted_folder(job_id))
            return True
        return False

    def undo_deletion(self, job_id: str) -> None:
        """Bring back the folder of a job that stays after all."""
        with convert_os_errors(), contextlib.suppress(FileNotFoundError):
            self._deleted_folder(job_id).rename(self.job_folder(job_id))

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
            trash.put(self.job_folder(job_id))
        return len(unknown)

    def discard_unpublished(self, job_ids: Iterable[str], trash: Trash) -> None:
        """Move stacks of jobs that failed or were cancelled into the trash.

        There is one where the server ended between the end of the files and that of the job.
        """
        for job_id in job_ids:
            if self.stack_folder(job_id).is_dir():
                trash.put(self.stack_folder(job_id), f"{job_id}_{STACK}")

    def note_path(self, job_id: str) -> Path:
        """Return the path of the note from which the job can be registered again."""
        return self.job_folder(job_id) / _NOTE

    def write_note(self, job_id: str, text: str) -> None:
        """Write that note. Raises ``DiskFull`` and ``StorageFailed``."""
        with convert_os_errors():
            atomic_write(self.note_path(job_id), text)

    def free_bytes(self) -> int:
        """Return the free bytes of the disk. Raises ``StorageFailed`` where the folder is gone."""
        with convert_os_errors():
            return shutil.disk_usage(self.root).free

    def has_space(self) -> bool:
        """Tell if there is enough free space for a job to start."""
        return self.free_bytes() >= self._min_free_bytes

    def _deleted_folder(self, job_id: str) -> Path:
        return self.root / f"{_DELETED}{self.job_folder(job_id).name}"

    def job_folder(self, job_id: str) -> Path:
        """Return the folder of a job. Raises ``JobNotFound`` for what is no id."""
        if not _JOB_ID.fullmatch(job_id):
            raise JobNotFound(f"jobs/{job_id}")
        return self.root / job_id
