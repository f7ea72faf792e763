"""Results in a bucket. A job is worked on in the data folder; what it finished is in the bucket.

The folder of a job here holds what the worker writes, and the viewer that somebody asked for:
nothing that another server needs. Results that an earlier start of the server has published in the
data folder stay there, and are read there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection

from layert2v.atomic_write import atomic_write
from layert2v.stack import MANIFEST_NAME
from layert2v.wire import MAX_PREVIEW_BYTES
from layert2v_server.errors import BucketFailed, FilesMissing, StorageFailed
from layert2v_server.store.artifacts import ArtifactStore, Result, StagedSource
from layert2v_server.store.bucket.client import ObjectEntry
from layert2v_server.store.bucket.index import SOURCE, ObjectIndex, ObjectsReleased, StoredObject
from layert2v_server.store.bucket.layout import (
    FILES,
    is_unheld,
    preview_key,
    result_object,
    source_object,
)
from layert2v_server.store.bucket.notes import Notes
from layert2v_server.store.bucket.transfer import Transfers, keys_of, segment_keys
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import read_regular
from layert2v_server.store.stored_file import Readable, StoredFile
from layert2v_server.store.trash import Trash
from layert2v_server.worker.messages import UNTRUSTED_LIST

# A result that was stored for longer is stored anew: what nobody holds may have been removed.
MAX_STORING_S = 6 * 3600.0
MAX_OUTCOME_BYTES = 32 << 20

_OUTCOME, _FETCHED = "outcome.json", "fetched"
_FINISHED = "finished_"  # before the id of a job whose result goes from one attempt to the next

_log = logging.getLogger(__name__)


class BucketArtifacts(ArtifactStore):
    """Results in the bucket of ``transfers``, and work in progress under ``root``."""

    is_remote = True

    def __init__(
        self, root: Path, *, min_free_bytes: int, transfers: Transfers, index: ObjectIndex
    ) -> None:
        super().__init__(root, min_free_bytes=min_free_bytes)
        self._transfers = transfers
        self._bucket = transfers.bucket
        self._index = index
        self._notes = Notes(self._bucket)
        # Of results that are being stored: when that began, and what is there, by SHA-256.
        self._storing: dict[tuple[str, int], tuple[float, dict[str, StoredObject]]] = {}
        self._ready: dict[tuple[str, int], tuple[list[StoredObject], set[str]]] = {}

    # --- sources ------------------------------------------------------------------------------

    def stage_source(self, job_id: str, staged: StagedSource) -> None:
        """Hold the files that a re-render starts from; write those that are not in the bucket.

        From then on their own jobs may be deleted, and any server can run the job.
        """
        texts = {**staged.texts, UNTRUSTED_LIST: json.dumps(dict(staged.untrusted))}
        objects: list[StoredObject] = []
        for path, text in texts.items():
            data = text.encode()
            digest = hashlib.sha256(data).hexdigest()
            objects.append(source_object(job_id, path, staged.owner, len(data), digest))
            self._bucket.put(objects[-1].location, data)
        shared, files = set(), []
        for path in staged.files.keys() - texts.keys():
            file = staged.files[path]
            if file.stored is not None:
                objects.append(replace(file.stored, place=path))
                shared.add(file.stored.location)
            elif file.path is not None:  # of a time before the bucket
                digest = _digest(file.path)
                objects.append(source_object(job_id, path, staged.owner, file.size_bytes, digest))
                files.append((file.path, objects[-1]))
        self._transfers.write_files(files, threading.Event())
        try:
            self._index.hold(SOURCE + job_id, objects, shared=shared)
        except ObjectsReleased as error:
            gone = [each.place for each in objects if each.location in error.locations]
            raise FilesMissing(gone) from None

    def fetch_source(self, job_id: str, stop: threading.Event) -> None:
        """Bring the files that a re-render starts from here.

        Raises ``ObjectMissing``, ``DiskFull`` and ``BucketFailed``.
        """
        objects = self._index.list(SOURCE + job_id)
        if not objects:
            return
        folder = self.source_folder(job_id)
        with convert_os_errors():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._transfers.fetch_files([(each, folder / each.place) for each in objects], stop)

    def release_sources(self, job_ids: Iterable[str]) -> None:
        """Delete the source files of jobs that have ended, and what was kept of attempts."""
        wanted = list(job_ids)
        super().release_sources(wanted)
        held = self._index.holders(SOURCE)
        self._release([SOURCE + job_id for job_id in wanted if SOURCE + job_id in held])

    def delete(self, job_id: str) -> None:
        """Delete everything of a job that is in no database."""
        super().delete(job_id)
        self._release([SOURCE + job_id])
        with contextlib.suppress(BucketFailed):
            self._bucket.delete([each.key for each in self._bucket.list(f"{FILES}/{job_id}/")])

    # --- results ------------------------------------------------------------------------------

    def prepare_attempt(self, job_id: str, attempt: int) -> None:
        """Delete earlier attempts, but for one that is finished: this attempt takes it over."""
        waiting = self.root / f"{_FINISHED}{job_id}"
        with convert_os_errors():
            for outcome in sorted(self.job_folder(job_id).glob(f"attempt_*/{_OUTCOME}")):
                shutil.rmtree(waiting, ignore_errors=True)
                outcome.parent.rename(waiting)
            if not waiting.is_dir():
                super().prepare_attempt(job_id, attempt)
                return
            self.clear_attempts(job_id)
            self.job_folder(job_id).mkdir(exist_ok=True)
            waiting.rename(self.attempt_folder(job_id, attempt).parent)

    def keep_outcome(self, job_id: str, attempt: int, outcome: str) -> None:
        """Keep the outcome of an attempt beside its files, until they are in the bucket."""
        with contextlib.suppress(OSError):  # without it, the job would only run again
            atomic_write(self.attempt_folder(job_id, attempt).parent / _OUTCOME, outcome)

    def take_outcome(self, job_id: str, attempt: int) -> str:
        """Return the outcome of an attempt that was finished here; its files are this one's now."""
        path = self.attempt_folder(job_id, attempt).parent / _OUTCOME
        try:
            return read_regular(path, MAX_OUTCOME_BYTES).decode(errors="replace")
        except OSError:
            return ""

    def suspend_attempt(self, job_id: str, attempt: int) -> None:
        """Delete an attempt that this server gives back, unless it is finished."""
        if not self.take_outcome(job_id, attempt):
            super().suspend_attempt(job_id, attempt)

    def store_result(self, result: Result, stop: threading.Event) -> None:
        """Write a result to the bucket, where nobody sees it yet; go on where that stopped."""
        self.check_attempt(result.job_id, result.attempt, result.files)
        key = (result.job_id, result.attempt)
        now = time.monotonic()
        began, done = self._storing.get(key, (now - 2 * MAX_STORING_S, {}))
        if now - began > MAX_STORING_S:
            done = {}
            self._storing[key] = now, done
        known = self._index.find_by_hash(result.owner, {file.sha256 for file in result.files})
        folder = self.attempt_folder(*key)
        targets: dict[str, StoredObject] = {}
        for file in result.files:
            shared = known.get(file.sha256)
            is_shared = shared is not None and shared.size_bytes == file.size_bytes
            if not (is_shared or file.sha256 in targets or file.sha256 in done):
                targets[file.sha256] = result_object(
                    f"{result.job_id}/{result.attempt}", result.owner, file, result.untrusted
                )
        paths = {file.sha256: folder / file.path for file in result.files}
        self._transfers.write_files(
            [(paths[sha256], target) for sha256, target in targets.items()],
            stop,
            lambda target: done.setdefault(target.sha256, target),
        )
        self._ready[key] = self._objects_of(result, known, done)
        self._notes.write(result.job_id, result.attempt, result.note, self._ready[key][0])
        with contextlib.suppress(BucketFailed):
            self.store_preview(result.job_id)

    def _objects_of(
        self, result: Result, known: dict[str, StoredObject], done: dict[str, StoredObject]
    ) -> tuple[list[StoredObject], set[str]]:
        """Return the objects of a result, and the locations of those that others hold as well."""
        objects, shared = [], set()
        for file in result.files:
            own = done.get(file.sha256)
            found = own or known[file.sha256]
            if own is None:
                shared.add(found.location)
            untrusted = file.sha256 in result.untrusted
            objects.append(replace(found, place=file.path, untrusted=untrusted))
        return objects, shared

    def publish(self, job_id: str, attempt: int, connection: Connection | None = None) -> None:
        """Hold a stored result, in the transaction that ends the job.

        Raises ``ObjectsReleased`` where what it shares with others has gone meanwhile.
        """
        objects, shared = self._ready[job_id, attempt]
        self._index.hold(job_id, objects, shared=shared, connection=connection)

    def end_publication(self, job_id: str, attempt: int) -> None:
        """Remove what is here of a published result: it is in the bucket."""
        self._forget(job_id, attempt)
        shutil.rmtree(self.job_folder(job_id), ignore_errors=True)

    def discard_attempt(self, job_id: str, attempt: int) -> None:
        """Delete everything of an attempt that lost its job, or that ended without a result."""
        super().discard_attempt(job_id, attempt)
        self._discard_stored(job_id, attempt)

    def clear_attempt(self, job_id: str, attempt: int) -> None:
        """Delete one attempt, except what its engine had finished for the next one."""
        super().clear_attempt(job_id, attempt)
        self._discard_stored(job_id, attempt)

    def _discard_stored(self, job_id: str, attempt: int) -> None:
        """Delete what was stored of a result that nobody will see."""
        _, done = self._storing.get((job_id, attempt), (0.0, {}))
        self._forget(job_id, attempt)
        if done:
            with contextlib.suppress(BucketFailed):  # nobody holds them: they go after a while
                self._bucket.delete(keys_of(list(done.values())))
                self._notes.delete(job_id, [attempt])

    def _forget(self, job_id: str, attempt: int) -> None:
        self._storing.pop((job_id, attempt), None)
        self._ready.pop((job_id, attempt), None)

    # --- reading ------------------------------------------------------------------------------

    def open_result(self, job_id: str, path: str) -> Readable:
        """Return a reader of a published file."""
        stored = self._index.get(job_id, path)
        return super().open_result(job_id, path) if stored is None else self._transfers.open(stored)

    def manifest_files(self, job_id: str) -> dict[str, StoredFile]:
        """Return the manifests of a published stack by their places there."""
        found = {
            each.place: StoredFile(size_bytes=each.size_bytes, untrusted=False, stored=each)
            for each in self._index.list(job_id)
            if each.place == MANIFEST_NAME
            or (each.place.startswith("history/v") and each.place.endswith(".json"))
        }
        return found or super().manifest_files(job_id)

    def read_stored(self, file: StoredFile) -> bytes:
        """Return a file that is small. Raises ``OSError``, ``ObjectMissing``, ``BucketFailed``."""
        if file.stored is None:
            return super().read_stored(file)
        return self._transfers.read_whole(file.stored)

    def bring_stack(self, job_id: str) -> Path:
        """Return a folder with the whole published stack, fetched where it is not here."""
        objects = self._index.list(job_id)
        if not objects:
            return super().bring_stack(job_id)
        folder = self.job_folder(job_id) / _FETCHED
        self._transfers.fetch_files(
            [(each, folder / each.place) for each in objects], threading.Event()
        )
        return folder

    def drop_stack(self, job_id: str) -> None:
        """Delete that folder where it was only fetched."""
        shutil.rmtree(self.job_folder(job_id) / _FETCHED, ignore_errors=True)

    def local_path(self, job_id: str) -> str:
        """Return nothing: no folder has the stack."""
        return ""

    def store_preview(self, job_id: str) -> None:
        """Bring the preview that a worker has written to where every server reads it."""
        try:
            data = read_regular(self.preview_path(job_id), MAX_PREVIEW_BYTES)
        except OSError:  # there is none
            return
        self._bucket.put(preview_key(job_id), data)

    def read_preview(self, job_id: str) -> bytes | None:
        """Return the newest preview as PNG of at most 64 KiB, if there is one."""
        with contextlib.suppress(StorageFailed):  # a watch goes on without it
            found = self._bucket.read_small(preview_key(job_id), MAX_PREVIEW_BYTES)
            return super().read_preview(job_id) if found is None else found
        return None

    # --- deletion -----------------------------------------------------------------------------

    def begin_deletion(self, job_id: str) -> bool:
        """Take the notes of a job that is about to be deleted, so that nothing finds it.

        Raises ``BucketFailed``: while the bucket cannot be used, the job stays.
        """
        has_notes = self._notes.take(job_id)
        return super().begin_deletion(job_id) or has_notes

    def undo_deletion(self, job_id: str) -> None:
        """Bring back the notes of a job that stays after all."""
        super().undo_deletion(job_id)
        with contextlib.suppress(BucketFailed):
            self._notes.put_back(job_id)

    def end_deletion(self, job_id: str) -> None:
        """Delete everything of a job whose row is gone."""
        super().end_deletion(job_id)
        self._notes.forget(job_id)
        self._release([job_id])
        with contextlib.suppress(BucketFailed):  # it goes after a while, as it belongs to no job
            self._bucket.delete([preview_key(job_id)])

    def complete_deletions(self, known: Set[str], trash: Trash) -> None:
        """Complete the deletions that a kill cut short, of jobs and of what waiting ones held."""
        super().complete_deletions(known, trash)
        held = self._index.holders()
        jobs = {holder for holder in held if "/" not in holder} - known
        # A source is held before its job is queued.
        old = self._index.holders(SOURCE, time.time() - 3600)
        self._release(
            [*jobs, *(holder for holder in old if holder.removeprefix(SOURCE) not in known)]
        )

    def discard_leftovers(self, known: Set[str], open_jobs: Set[str]) -> None:
        """Delete attempts of jobs that have ended on another server, and viewers of deleted ones.

        ``known`` are all jobs. A stack that was published here before the bucket stays.
        """
        for job_id in self.unknown_jobs(known) - self.unknown_stacks(known) if known else ():
            shutil.rmtree(self.job_folder(job_id), ignore_errors=True)
        for folder in self.root.glob("*/attempt_*"):
            if folder.parent.name not in open_jobs:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self.root.glob(f"{_FINISHED}*"):
            if folder.name.removeprefix(_FINISHED) not in open_jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def unheld_objects(self, than: float, jobs: Set[str], finished: Set[str]) -> list[ObjectEntry]:
        """Return what lies in the bucket since before ``than`` and belongs to nothing.

        ``jobs`` are all that there are, ``finished`` those with a result.
        """
        entries = list(self._bucket.list(""))  # before the locations: what is held later is young
        held = {key for each in self._index.locations() for key in segment_keys(*each)}
        return [
            each
            for each in entries
            if each.modified < than and is_unheld(each.key, held, jobs, finished)
        ]

    def lost_results(self, known: Set[str]) -> Iterator[tuple[str, str, list[StoredObject]]]:
        """Yield id, note and objects of results in the bucket whose jobs are not ``known``."""
        return self._notes.read_lost(known)

    def hold_again(self, job_id: str, objects: Sequence[StoredObject]) -> None:
        """Hold the objects of a job that was registered again."""
        self._index.hold(job_id, objects)

    def delete_objects(self, keys: Iterable[str]) -> None:
        """Delete objects of the bucket. Raises ``BucketFailed``."""
        self._bucket.delete(keys)

    def close(self) -> None:
        """Begin no new transfers; those that run are left to their end."""
        self._transfers.close()

    def problem(self) -> str:
        """Return why results cannot be read or stored at the moment, empty where they can."""
        problem = self._bucket.check("database_id", max_age_s=5.0)
        return BucketFailed(problem).message if problem else ""

    def _release(self, holders: Sequence[str]) -> None:
        """Delete what nobody else holds; what cannot be deleted now goes after a while."""
        if holders:
            freed = self._index.release(holders)
            with contextlib.suppress(BucketFailed):
                self._bucket.delete(keys_of(freed))


def _digest(path: Path) -> str:
    with convert_os_errors(), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
