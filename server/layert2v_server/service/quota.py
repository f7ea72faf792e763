"""How much of the disk each user may fill, with the files of jobs and with uploads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from layert2v_server.errors import QuotaExceeded
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.uploads import UploadStore

RECENT_S = 5.0  # so old may sums be while they allow something: clients begin uploads in thousands
MAX_RECENT_USERS = 10_000
MAX_BYTES = 1 << 62  # more than any disk has


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskUse:
    """What one user has on the disk, and may have; 0 for no limit."""

    used_bytes: int
    max_bytes: int


class DiskQuota:
    """At most ``max_bytes`` for each user; 0 for no limit. Blocking.

    Uploads count with the size that was announced. A job is measured before it starts, since
    nobody knows what it will write: a user may end above the limit by what is running.
    """

    def __init__(
        self,
        store: JobStore,
        uploads: UploadStore,
        max_bytes: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._max_bytes = max_bytes
        self._clock = clock
        self._recent: dict[str, tuple[float, int]] = {}  # by user: when, and all that they had then
        self._shared: dict[str, tuple[int, int]] = {}  # by user: sum over jobs, the same shared

    def measure(self, owner: str) -> DiskUse:
        """Return what a user has, counted as for an error. Cheap where nothing has changed."""
        rough = self._store.usage(owner, MAX_BYTES).total_bytes
        known, used = self._shared.pop(owner, (-1, 0))
        if rough != known:
            used = self._store.usage(owner, 0).total_bytes
        self._shared[owner] = rough, used
        while len(self._shared) > MAX_RECENT_USERS:
            self._shared.pop(next(iter(self._shared)), None)
        total = used + self._uploads.announced_bytes(owner)
        return DiskUse(used_bytes=total, max_bytes=self._max_bytes)

    def require(self, owner: str, more_bytes: int = 1) -> None:
        """Raise ``QuotaExceeded`` where ``owner`` may not keep so many bytes more."""
        if self._max_bytes:
            self._count(owner, more_bytes)

    def require_for_upload(self, owner: str, more_bytes: int) -> None:
        """Do the same for an upload that is announced now; what allows it may be a bit older."""
        if not self._max_bytes:
            return
        counted, used = self._recent.pop(owner, (0.0, self._max_bytes))
        now = self._clock()
        if now - counted >= RECENT_S or used + more_bytes > self._max_bytes:
            counted, used = now, self._count(owner, more_bytes)
        self._recent[owner] = counted, used + more_bytes
        while len(self._recent) > MAX_RECENT_USERS:
            self._recent.pop(next(iter(self._recent)), None)

    def _count(self, owner: str, more_bytes: int) -> int:
        """Return what a user has. Raises ``QuotaExceeded`` where so much more is too much."""
        uploaded = self._uploads.announced_bytes(owner)
        usage = self._store.usage(owner, self._max_bytes - uploaded - more_bytes)
        used = usage.total_bytes + uploaded
        if used + more_bytes > self._max_bytes:
            raise QuotaExceeded(
                used_bytes=used,
                max_bytes=self._max_bytes,
                uploaded_bytes=uploaded,
                largest=(usage.largest_job, usage.largest_bytes),
            )
        return used
