"""Files by what is in them: which bytes a caller has here, as results of jobs or as uploads.

Blocking; the server calls it in threads.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.uploads import UploadStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A file that is here; `brought` where a client brought it and nobody looked inside yet."""

    path: Path
    brought: bool


class Holdings:
    """What `jobs`, `artifacts` and `uploads` hold, owner by owner."""

    def __init__(self, jobs: JobStore, artifacts: ArtifactStore, uploads: UploadStore) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._uploads = uploads

    def find(self, owner: str, hashes: Collection[str]) -> dict[str, Held]:
        """Those of the SHA-256 `hashes` that are here for `owner`; what we made comes first."""
        found: dict[str, Held] = {}
        for sha256, job_id, relative in self._jobs.holders(owner, hashes):
            path = self._artifacts.stack_folder(job_id) / relative
            if sha256 not in found and path.is_file():
                found[sha256] = Held(path=path, brought=False)
        for sha256 in set(hashes) - found.keys():
            upload = self._uploads.held(owner, sha256)
            if upload is not None:
                found[sha256] = Held(path=upload, brought=True)
        return found
