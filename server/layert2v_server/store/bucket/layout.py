"""Where what lies in a bucket; see the package."""

from __future__ import annotations

from collections.abc import Collection, Set

from layert2v.stack import FileRecord
from layert2v_server.store.bucket.index import StoredObject
from layert2v_server.store.bucket.notes import NOTES

FILES, PREVIEWS, UPLOADS = "files", "previews", "uploads"


def result_object(
    attempt: str, owner: str, file: FileRecord, untrusted: Collection[str]
) -> StoredObject:
    """Return a file of an attempt, named ``JOB/NUMBER``, as an object; no other has its key."""
    return StoredObject(
        place=file.path,
        owner=owner,
        location=f"{FILES}/{attempt}/{file.path}",
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        untrusted=file.sha256 in untrusted,
    )


def source_object(job_id: str, path: str, owner: str, size_bytes: int, sha256: str) -> StoredObject:
    """Return a file that a job starts from, and that nobody else holds, as an object."""
    return StoredObject(
        place=path,
        owner=owner,
        location=f"{FILES}/{job_id}/source/{path}",
        size_bytes=size_bytes,
        sha256=sha256,
        untrusted=False,
    )


def preview_key(job_id: str) -> str:
    """Return the key of the newest preview of a job."""
    return f"{PREVIEWS}/{job_id}.png"


def is_unheld(key: str, held: Set[str], jobs: Set[str], finished: Set[str]) -> bool:
    """Tell if an object belongs to nothing; what is none of ours stays.

    ``held`` are the keys of files, ``jobs`` the ids of all jobs, ``finished`` of those with a
    result.
    """
    kind, _, rest = key.partition("/")
    if kind == NOTES:
        return rest.partition("/")[0] not in finished
    if kind == PREVIEWS:
        return rest.removesuffix(".png") not in jobs
    return kind in (FILES, UPLOADS) and key not in held
