"""What is older than it is kept: jobs that have ended, uploads, what lies in the trash.

    <data>/last_used    when a server last used the folder, in seconds since 1970

Age is told by the clock of the machine. Where that has jumped, as after a battery that was changed,
everything would be old at once: then nothing is removed for its age until the next time.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from layert2v.atomic_write import atomic_write
from layert2v_server.domain.state import JobState
from layert2v_server.errors import BucketFailed, JobNotFound, ServerError
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.bucket.client import Bucket
from layert2v_server.store.bucket.index import ObjectIndex
from layert2v_server.store.inbox import INBOX, Inbox
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.regular_file import read_regular
from layert2v_server.store.trash import Trash
from layert2v_server.store.uploads import UploadStore

DAY_S = 86_400
MIN_GRACE_DAYS = 1  # of what nobody holds in the bucket
MAX_REST_DAYS = 30  # a server that rested for longer removes nothing for its age at its first start

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How many days jobs that have ended, uploads and the contents of the trash are kept.

    0 keeps jobs until they are deleted.
    """

    jobs_days: float = 0.0
    uploads_days: float
    trash_days: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired:
    """One thing that is older than it is kept, and what removes it."""

    kind: str
    name: str
    size_bytes: int
    age_days: float
    remove: Callable[[], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataStores:
    """A data folder and its stores."""

    data: Path
    jobs: JobStore
    artifacts: ArtifactStore
    uploads: UploadStore
    index: ObjectIndex | None = None  # of what is in the bucket, where there is one
    bucket: Bucket | None = None

    @property
    def inbox(self) -> Inbox:
        """What callers offer and nobody has taken."""
        return Inbox(self.data / INBOX, self.uploads)

    @property
    def trash(self) -> Trash:
        """What the server has removed by itself."""
        return Trash(self.data / "trash")


def find_expired(stores: DataStores, retention: Retention, now: float) -> Iterator[Expired]:
    """Yield what is older than it is kept; ``now`` is in seconds since 1970.

    Nothing where the age of things is not certain.
    """
    if not _is_age_certain(stores.data, now):
        return
    if retention.jobs_days:
        for job in stores.jobs.ended_before(now - retention.jobs_days * DAY_S):
            yield Expired(
                kind="job",
                name=f"jobs/{job.id} of {job.owner}",
                size_bytes=job.size_bytes,
                age_days=(now - job.finished) / DAY_S,
                remove=functools.partial(_delete_job, stores, job.id),
            )
    for files in stores.uploads.older(now - retention.uploads_days * DAY_S):
        yield _expired_files("upload", files[0].stem, files, now)
    for upload in stores.uploads.older_stored(now - retention.uploads_days * DAY_S):
        yield Expired(
            kind="upload",
            name=upload.name,
            size_bytes=upload.size_bytes,
            age_days=(now - upload.created) / DAY_S,
            remove=functools.partial(stores.uploads.release_stored, [upload.holder]),
        )
    for path in stores.inbox.older(now - retention.uploads_days * DAY_S):
        yield _expired_files("offered file", path.name, [path], now)
    for path in stores.trash.older(now - retention.trash_days * DAY_S):
        yield _expired_files("trash", path.name, [path], now)
    try:
        yield from _unheld_objects(stores, retention, now)
    except BucketFailed as error:
        _log.warning("what nobody holds in the bucket stays: %s", error.message)


def remove_expired(stores: DataStores, retention: Retention, now: float) -> list[Expired]:
    """Remove what is older than it is kept, and return it; what cannot be removed stays."""
    removed = []
    for expired in find_expired(stores, retention, now):
        try:
            expired.remove()
        except (OSError, ServerError) as error:
            _log.warning("%s %s cannot be removed: %s", expired.kind, expired.name, error)
        else:
            removed.append(expired)
            _log.info("removed for its age: %s %s", expired.kind, expired.name)
    note_use(stores.data, now)
    return removed


def note_use(data: Path, now: float) -> None:
    """Note that the data folder is used now, in seconds since 1970."""
    with contextlib.suppress(OSError):  # a full disk: the next time removes nothing for its age
        atomic_write(data / "last_used", f"{now:.0f}\n")


def _is_age_certain(data: Path, now: float) -> bool:
    """Tell if no more time has gone since the last use than a server rests."""
    try:
        rest_s = now - float(read_regular(data / "last_used", 100))
    except (OSError, ValueError):  # a new folder
        return False
    if -1 <= rest_s <= MAX_REST_DAYS * DAY_S:
        return True
    _log.warning("the clock has jumped, or the server rested; nothing is removed for its age")
    return False


def _delete_job(stores: DataStores, job_id: str) -> None:
    is_renamed = stores.artifacts.begin_deletion(job_id)
    try:
        with contextlib.suppress(JobNotFound):  # its owner has deleted it meanwhile
            stores.jobs.delete(job_id)
    except BaseException:
        if is_renamed:
            stores.artifacts.undo_deletion(job_id)
        raise
    stores.artifacts.end_deletion(job_id)


def _unheld_objects(stores: DataStores, retention: Retention, now: float) -> Iterator[Expired]:
    """Yield what belongs to nothing in the bucket, as after a server that was killed.

    It stays there as long as it would in the trash: writing a result may take hours.
    """
    grace_s = max(retention.trash_days, MIN_GRACE_DAYS) * DAY_S
    jobs, finished = stores.jobs.list_ids(), stores.jobs.list_ids((JobState.SUCCEEDED,))
    for found in stores.artifacts.unheld_objects(now - grace_s, jobs, finished):
        yield Expired(
            kind="object",
            name=found.key,
            size_bytes=found.size_bytes,
            age_days=(now - found.modified) / DAY_S,
            remove=functools.partial(stores.artifacts.delete_objects, [found.key]),
        )


def _expired_files(kind: str, name: str, paths: list[Path], now: float) -> Expired:
    infos = []
    for path in paths:
        # What a link leads to is not what would be removed: it may be the whole disk.
        for file in (path, *(() if path.is_symlink() else path.rglob("*"))):
            with contextlib.suppress(OSError):  # it has just been removed
                infos.append(file.lstat())
    return Expired(
        kind=kind,
        name=name,
        size_bytes=sum(info.st_size for info in infos),
        age_days=(now - max((info.st_mtime for info in infos), default=now)) / DAY_S,
        remove=functools.partial(_remove_all, paths),
    )


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        Trash.remove(path)
