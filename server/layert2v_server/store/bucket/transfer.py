"""Files into the bucket and out of it: in segments, in parallel, compared with their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from layert2v_server.errors import ObjectMissing, WorkerLost
from layert2v_server.store.bucket.client import Bucket
from layert2v_server.store.bucket.index import StoredObject
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import open_regular

SEGMENT_BYTES = 32 << 20  # four of them are in memory while large files are written
BLOCK_BYTES = 2 << 20  # of a read; a divisor of the segment's
AHEAD = 3  # blocks that are on their way while one is sent
WRITERS, READERS = 4, 16

# A name in a stack has no "~", so no file is called as a segment of another.
_SEGMENT = "~{:04d}"


class TransferStopped(Exception):
    """The transfer was stopped from outside."""


def segment_keys(location: str, size_bytes: int) -> list[str]:
    """Return the keys of the objects of a file."""
    if size_bytes <= SEGMENT_BYTES:
        return [location]
    count = -(-size_bytes // SEGMENT_BYTES)
    return [location + _SEGMENT.format(number) for number in range(1, count + 1)]


class Transfers:
    """Copies files between this machine and a bucket. Blocking; safe in threads."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._workers = ThreadPoolExecutor(WRITERS, thread_name_prefix="bucket-files")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="bucket-reads")

    def close(self) -> None:
        """Begin nothing new; what runs is left to its end."""
        for pool in (self._workers, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)

    def write_files(
        self,
        files: Sequence[tuple[Path, StoredObject]],
        stop: threading.Event,
        finish: Callable[[StoredObject], object] = lambda _: None,
    ) -> None:
        """Write files to their locations; call ``finish`` with each that is there.

        Raises ``WorkerLost`` where one is not what its hash says, ``TransferStopped`` and
        ``BucketFailed``; what is written by then stays.
        """

        def write(path: Path, target: StoredObject) -> None:
            self._write_file(path, target, stop)
            finish(target)

        self._run_all(stop, [(write, path, target) for path, target in files])

    def fetch_files(
        self, files: Sequence[tuple[StoredObject, Path]], stop: threading.Event
    ) -> None:
        """Fetch files to their paths, each whole or not at all.

        Raises ``ObjectMissing`` where one is not what it was, ``TransferStopped``, ``DiskFull``,
        ``BucketFailed``.
        """
        self._run_all(stop, [(self._fetch_file, each, path, stop) for each, path in files])

    def open(self, stored: StoredObject) -> ObjectReader:
        """Return a reader of a file; nothing is read yet."""
        return ObjectReader(self.bucket, self._readers, stored)

    def read_whole(self, stored: StoredObject) -> bytes:
        """Return a file that is small. Raises ``ObjectMissing`` and ``BucketFailed``."""
        data = bytearray(stored.size_bytes)
        self.open(stored).read_into(memoryview(data), 0)
        return bytes(data)

    def _run_all(self, stop: threading.Event, calls: Sequence[tuple[Any, ...]]) -> None:
        """Run calls in the workers; after the first error the others are left out or stopped."""
        failed = threading.Event()
        work: list[Future[None]] = []

        def run(action: Callable[..., None], *args: Any) -> None:
            if stop.is_set() or failed.is_set():
                raise TransferStopped
            try:
                action(*args)
            except BaseException:
                failed.set()
                raise

        work = [self._workers.submit(run, *call) for call in calls]
        wait(work, return_when=FIRST_EXCEPTION)
        for each in work:
            each.cancel()
        done, _ = wait([each for each in work if not each.cancelled()])
        errors = [error for each in done if (error := each.exception()) is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, TransferStopped)):
            raise error

    def _write_file(self, path: Path, target: StoredObject, stop: threading.Event) -> None:
        digest = hashlib.sha256()
        with convert_os_errors():
            try:
                with open_regular(path) as descriptor:
                    for key in segment_keys(target.location, target.size_bytes):
                        if stop.is_set():
                            raise TransferStopped
                        data = os.read(descriptor, SEGMENT_BYTES)
                        while len(data) < SEGMENT_BYTES and (more := os.read(descriptor, 1 << 20)):
                            data += more
                        digest.update(data)
                        self.bucket.put(key, data)
            except FileNotFoundError:
                raise WorkerLost("A finished file is gone.") from None
        if digest.hexdigest() != target.sha256:
            raise WorkerLost("A finished file is not what its hash says.")

    def _fetch_file(self, stored: StoredObject, path: Path, stop: threading.Event) -> None:
        digest, reader = hashlib.sha256(), self.open(stored)
        partial = path.with_name(f".{path.name}.part")
        with convert_os_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb", buffering=0) as file:
                    for offset in range(0, stored.size_bytes, BLOCK_BYTES):
                        if stop.is_set():
                            raise TransferStopped
                        data = reader.read_block(offset // BLOCK_BYTES)
                        digest.update(data)
                        file.write(data)
                if digest.hexdigest() != stored.sha256:
                    raise ObjectMissing
                partial.replace(path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    partial.unlink()


class ObjectReader:
    """Reads a file of the bucket in order, some blocks ahead. For one thread at a time."""

    is_remote = True

    def __init__(self, bucket: Bucket, pool: ThreadPoolExecutor, stored: StoredObject) -> None:
        self._bucket = bucket
        self._pool = pool
        self._stored = stored
        self._keys = segment_keys(stored.location, stored.size_bytes)
        self._blocks: dict[int, Future[Any]] = {}
        self._end = stored.size_bytes

    def limit(self, end: int) -> None:
        """Read nothing ahead from ``end`` on."""
        self._end = min(end, self._stored.size_bytes)

    def read_into(self, data: memoryview, offset: int) -> None:
        """Fill ``data`` from ``offset`` on. Raises ``ObjectMissing`` and ``BucketFailed``."""
        done = 0
        while done < len(data):
            number, start = divmod(offset + done, BLOCK_BYTES)
            piece = memoryview(self.read_block(number))[start : start + len(data) - done]
            if not piece:
                raise ObjectMissing
            data[done : done + len(piece)] = piece
            done += len(piece)

    def read_block(self, number: int) -> Any:
        """Return a block as a buffer; those after it are on their way then."""
        last = max(0, self._end - 1) // BLOCK_BYTES
        for old in [known for known in self._blocks if not number <= known <= number + AHEAD]:
            self._blocks.pop(old).cancel()
        for wanted in range(number, min(number + AHEAD, max(last, number)) + 1):
            if wanted not in self._blocks:
                self._blocks[wanted] = self._pool.submit(self._fetch, wanted)
        try:
            return self._blocks[number].result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget what was read ahead."""
        for each in self._blocks.values():
            each.cancel()
        self._blocks.clear()

    def _fetch(self, number: int) -> Any:
        start = number * BLOCK_BYTES
        end = min(start + BLOCK_BYTES, self._stored.size_bytes)
        if start >= end:
            raise ObjectMissing
        segment, within = divmod(start, SEGMENT_BYTES)
        if len(self._keys) == 1:
            segment, within = 0, start
        return self._bucket.read(self._keys[segment], within, within + end - start)


def keys_of(objects: Sequence[StoredObject]) -> Iterator[str]:
    """Yield the keys of all objects of files."""
    for each in objects:
        yield from segment_keys(each.location, each.size_bytes)
