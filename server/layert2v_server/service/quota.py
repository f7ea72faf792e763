"""How much of the disk each user may fill, with the files of jobs and with uploads."""

from __future__ import annotations

from layert2v_server.errors import QuotaExceeded
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.uploads import UploadStore


class DiskQuota:
    """At most ``max_bytes`` for each user; 0 for no limit. Blocking.

    Uploads count with the size that was announced. A job is measured before it starts, since
    nobody knows what it will write: a user may end above the limit by what is running.
    """

    def __init__(self, store: JobStore, uploads: UploadStore, max_bytes: int) -> None:
        self._store = store
        self._uploads = uploads
        self._max_bytes = max_bytes

    def require(self, owner: str, more_bytes: int = 1) -> None:
        """Raise ``QuotaExceeded`` where ``owner`` may not keep so many bytes more."""
        if not self._max_bytes:
            return
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
