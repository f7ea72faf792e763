"""Files by SHA-256: the contents that a user has here, as results of jobs or as uploads.

Blocking; the server calls it in threads.
"""

from __future__ import annotations

import stat
from collections.abc import Collection
from pathlib import Path

from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.bucket.index import ObjectIndex
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.stored_file import StoredFile
from layert2v_server.store.uploads import UploadStore


class ContentIndex:
    """The contents of ``jobs``, ``artifacts`` and ``uploads``, for each owner.

    Where they ``are_shared``, other servers take uploads into the same folder. ``index`` knows what
    is in a bucket.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: ArtifactStore,
        uploads: UploadStore,
        *,
        are_shared: bool = False,
        index: ObjectIndex | None = None,
    ) -> None:
        self._index = index
        self._are_shared = are_shared
        self._jobs = jobs
        self._artifacts = artifacts
        self._uploads = uploads

    def find(self, owner: str, hashes: Collection[str]) -> dict[str, StoredFile]:
        """Return the files of ``owner`` by SHA-256, for those of ``hashes`` that are here.

        A result of a job comes before an upload of the same content.
        """
        found: dict[str, StoredFile] = {}
        if self._index is not None:
            for sha256, stored in self._index.find_by_hash(owner, hashes).items():
                found[sha256] = StoredFile(
                    size_bytes=stored.size_bytes, untrusted=stored.untrusted, stored=stored
                )
        hashes = set(hashes) - found.keys()
        for file in self._jobs.find_by_hash(owner, hashes):
            path = self._artifacts.stack_folder(file.job_id) / file.path
            here = _local_file(path, untrusted=file.untrusted)
            if here is not None:
                found[file.sha256] = here
        missing = set(hashes) - found.keys()
        if missing and self._are_shared:
            self._uploads.refresh()
        for sha256 in missing:
            upload = self._uploads.find_by_hash(owner, sha256)
            here = None if upload is None else _local_file(upload, untrusted=True)
            if here is not None:
                found[sha256] = here
        return found


def _local_file(path: Path, *, untrusted: bool) -> StoredFile | None:
    """Return a file as it is; None where there is none, as where it was deleted just now."""
    try:
        info = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return StoredFile(path=path, size_bytes=info.st_size, untrusted=untrusted)
