"""Files by SHA-256: the contents that a user has here, as results of jobs or as uploads.

Blocking; the server calls it in threads.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.regular_file import is_regular
from layert2v_server.store.uploads import UploadStore


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file that is here; ``untrusted`` where a client uploaded it and it was not decoded yet.

    A job that published an upload without opening it does not make it trusted: as which kind of
    file it comes next is for the next request to say.
    """

    path: Path
    untrusted: bool


class ContentIndex:
    """The contents of ``jobs``, ``artifacts`` and ``uploads``, for each owner.

    Where they ``are_shared``, other servers take uploads too.
    """

    def __init__(
        self,
        jobs: JobStore,
        artifacts: ArtifactStore,
        uploads: UploadStore,
        *,
        are_shared: bool = False,
    ) -> None:
        self._are_shared = are_shared
        self._jobs = jobs
        self._artifacts = artifacts
        self._uploads = uploads

    def find(self, owner: str, hashes: Collection[str]) -> dict[str, StoredFile]:
        """Return the files of ``owner`` by SHA-256, for those of ``hashes`` that are here.

        A result of a job comes before an upload of the same content.
        """
        found: dict[str, StoredFile] = {}
        for file in self._jobs.find_by_hash(owner, hashes):
            path = self._artifacts.stack_folder(file.job_id) / file.path
            if is_regular(path):
                found[file.sha256] = StoredFile(path=path, untrusted=file.untrusted)
        missing = set(hashes) - found.keys()
        if missing and self._are_shared:
            self._uploads.refresh()
        for sha256 in missing:
            upload = self._uploads.find_by_hash(owner, sha256)
            if upload is not None:
                found[sha256] = StoredFile(path=upload, untrusted=True)
        return found
