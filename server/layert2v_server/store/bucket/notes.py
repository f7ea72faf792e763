"""Notes in the bucket from which finished jobs are registered again after a lost database."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import asdict

from layert2v_server.store.bucket.client import Bucket
from layert2v_server.store.bucket.index import StoredObject
from layert2v_server.store.bucket.transfer import segment_keys

NOTES = "notes"
MAX_NOTE_BYTES = 64 << 20  # every file of a stack is listed: 300 bytes each

_log = logging.getLogger(__name__)


class Notes:
    """A note for each attempt that was stored; only that of the attempt that won stays."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._taken: dict[str, dict[str, bytes]] = {}  # of jobs that are being deleted

    def write(self, job_id: str, attempt: int, text: str, objects: Sequence[StoredObject]) -> None:
        """Write the note of a stored result. Raises ``BucketFailed``."""
        plain = {"note": text, "objects": [asdict(each) for each in objects]}
        self._bucket.put(_key(job_id, attempt), json.dumps(plain).encode())

    def delete(self, job_id: str, attempts: Iterable[int]) -> None:
        """Delete notes of attempts that came to nothing. Raises ``BucketFailed``."""
        self._bucket.delete(_key(job_id, attempt) for attempt in attempts)

    def take(self, job_id: str) -> bool:
        """Take away the notes of a job; return whether there were any. Raises ``BucketFailed``."""
        found = {}
        for entry in self._bucket.list(f"{NOTES}/{job_id}/"):
            data = self._bucket.read_small(entry.key, MAX_NOTE_BYTES)
            if data is not None:
                found[entry.key] = data
        self._taken[job_id] = found
        self._bucket.delete(found)
        return bool(found)

    def put_back(self, job_id: str) -> None:
        """Write the notes again that were taken. Raises ``BucketFailed``."""
        for key, data in self._taken.pop(job_id, {}).items():
            self._bucket.put(key, data)

    def forget(self, job_id: str) -> None:
        """Forget the notes that were taken."""
        self._taken.pop(job_id, None)

    def read_lost(self, known: Set[str]) -> Iterator[tuple[str, str, list[StoredObject]]]:
        """Yield id, note and objects of whole results whose jobs are not ``known``.

        Of several attempts the last one. Raises ``BucketFailed``.
        """
        sizes = {entry.key: entry.size_bytes for entry in self._bucket.list("")}
        notes: dict[str, int] = {}
        for key in sizes:
            if (parsed := _parse(key)) is not None and parsed[0] not in known:
                notes[parsed[0]] = max(parsed[1], notes.get(parsed[0], 0))
        for job_id, attempt in sorted(notes.items()):
            data = self._bucket.read_small(_key(job_id, attempt), MAX_NOTE_BYTES)
            try:
                plain = json.loads(data or b"")
                objects = [StoredObject(**each) for each in plain["objects"]]
                text = str(plain["note"])
            except (ValueError, TypeError, KeyError):
                _log.warning("job=%s has a note that cannot be read", job_id)
                continue
            if all(_is_whole(each, sizes) for each in objects):
                yield job_id, text, objects
            else:
                _log.warning("job=%s cannot be registered again: objects are missing", job_id)


def _is_whole(stored: StoredObject, sizes: dict[str, int]) -> bool:
    keys = segment_keys(stored.location, stored.size_bytes)
    return sum(sizes.get(key, -1 << 60) for key in keys) == stored.size_bytes


def _key(job_id: str, attempt: int) -> str:
    return f"{NOTES}/{job_id}/{attempt}.json"


def _parse(key: str) -> tuple[str, int] | None:
    """Return the job and the attempt of the key of a note."""
    parts = key.split("/")
    number = parts[-1].removesuffix(".json")
    if len(parts) != 3 or parts[0] != NOTES or not (number.isascii() and number.isdecimal()):
        return None
    return parts[1], int(number)
