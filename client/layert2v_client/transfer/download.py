"""Downloads of a job's files: resumed, checked, and each visible only when it is complete.

Every file has a SHA-256; where that is wrong, the CRC-32 of each chunk tells where. The manifest
comes last, so a folder with a ``stack.json`` is a complete stack. Where client and server see the
same files, they are copied.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from layert2v.stack import MANIFEST_NAME, is_safe_path
from layert2v.v1 import artifacts_pb2
from layert2v.wire import CHUNK_BYTES
from layert2v_client.connection import Connection, RetryBudget
from layert2v_client.convert import artifact_from_message
from layert2v_client.errors import (
    Cancelled,
    ClientError,
    NotPossible,
    ServerBusy,
    ServerUnavailable,
    TransferFailed,
)
from layert2v_client.transfer.file_hash import has_content, read_blocks, write_all
from layert2v_client.transfer.options import ProgressCallback, TransferOptions
from layert2v_client.transfer.ordered_worker import OrderedWorker
from layert2v_client.transfer.shared_disk import PathMap, paths_here
from layert2v_client.types import Artifact, JobState, JobStatus

PAGE_SIZE = 500
# At most this much in one read, so that its deadline notices a connection that hangs.
SEGMENT_BYTES = 64 * CHUNK_BYTES
SEGMENT_TIMEOUT_S = 480.0


@dataclass(frozen=True)
class DownloadItem:
    """A file of a job and its path here."""

    artifact: Artifact
    target: Path


def list_artifacts(connection: Connection, job: str) -> list[Artifact]:
    """Return the files of a job, the manifest last. Raises ``ClientError``."""
    found: list[Artifact] = []
    token = ""
    while True:
        request = artifacts_pb2.ListArtifactsRequest(job=job, page_size=PAGE_SIZE, page_token=token)
        answer = connection.call(connection.artifacts.ListArtifacts, request)
        found += [artifact_from_message(message) for message in answer.artifacts]
        token = answer.next_page_token
        if not token:
            return sorted(found, key=lambda artifact: artifact.path == MANIFEST_NAME)


def download_stack(
    connection: Connection, status: JobStatus, folder: Path, options: TransferOptions | None = None
) -> Path:
    """Download the stack of a finished job into ``folder``, which is made where it is missing.

    Files that are there already are kept when they are the right ones. Raises ``NotPossible``,
    ``TransferFailed`` or another ``ClientError``; after any of them the same call continues where
    it stopped.
    """
    artifacts = finished_artifacts(connection, status)
    items = [DownloadItem(artifact, target_path(folder, artifact.path)) for artifact in artifacts]
    download_files(connection, status, artifacts, items, options or TransferOptions())
    return folder


def finished_artifacts(connection: Connection, status: JobStatus) -> list[Artifact]:
    """Return the files of a finished job, the manifest last.

    Raises ``NotPossible`` where the job has not succeeded, ``ClientError``.
    """
    if status.state is not JobState.succeeded:
        raise NotPossible(
            "JOB_NOT_SUCCEEDED",
            f"The job is {status.state.value} and has no stack to fetch.",
            "Only a job that succeeded has files.",
        )
    return list_artifacts(connection, status.name)


def download_files(
    connection: Connection,
    status: JobStatus,
    artifacts: Sequence[Artifact],
    items: Sequence[DownloadItem],
    options: TransferOptions,
) -> None:
    """Download ``items``, some of the job's ``artifacts``, in this order.

    Raises ``TransferFailed``, ``Cancelled`` or another ``ClientError``.
    """
    shared = _shared_folder(status.local_path, artifacts, options.path_map)
    counter = _ProgressCounter(sum(item.artifact.size_bytes for item in items), options.report)
    for item in items:
        if not _is_complete(item):
            _Download(connection, item, shared, options).run(counter.advance)
        counter.finish_file(item.artifact.size_bytes)


def discard_partial(connection: Connection, status: JobStatus, folder: Path) -> None:
    """Remove what a cancelled download has left in ``folder``; a complete stack stays.

    Raises ``ClientError``.
    """
    if not (folder / MANIFEST_NAME).exists():
        artifacts = finished_artifacts(connection, status)
        discard(
            [DownloadItem(artifact, target_path(folder, artifact.path)) for artifact in artifacts]
        )


def discard(items: Sequence[DownloadItem]) -> None:
    """Remove what has arrived of ``items``, and the folders that are empty then."""
    for item in items:
        if _matches(item.target, item.artifact):
            item.target.unlink()
        _partial(item).unlink(missing_ok=True)
    inside_out = sorted(
        {folder for item in items for folder in _enclosing_folders(item)},
        key=lambda folder: len(folder.parts),
        reverse=True,
    )
    for folder in inside_out:
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()


def _enclosing_folders(item: DownloadItem) -> Sequence[Path]:
    """Return the folders around a file, up to that of its stack."""
    depth = len(PurePosixPath(item.artifact.path).parts)
    return list(item.target.parents)[:depth]


class _ProgressCounter:
    """The bytes of all files that have arrived."""

    def __init__(self, total: int, report: ProgressCallback | None) -> None:
        self._total = total
        self._report = report
        self._finished_bytes = 0

    def advance(self, in_this_file: int) -> None:
        if self._report is not None:
            self._report(self._finished_bytes + in_this_file, self._total)

    def finish_file(self, file_bytes: int) -> None:
        self._finished_bytes += file_bytes
        self.advance(0)


class _Download:
    """The download of one file: into a hidden partial file, renamed when its hash is right."""

    def __init__(
        self,
        connection: Connection,
        item: DownloadItem,
        shared: Path | None,
        options: TransferOptions,
    ) -> None:
        self._connection = connection
        self._artifact = item.artifact
        self._target = item.target
        self._partial = _partial(item)
        self._shared = shared
        self._link = options.link
        self._stop = options.stop or threading.Event()
        self._budget = RetryBudget(options.retry_timeout_s, self._stop)

    def run(self, advance: Callable[[int], object]) -> None:
        """Download the file; call ``advance`` with the bytes of this file that have arrived."""
        artifact, partial = self._artifact, self._partial
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            if self._shared is not None and self._copy(self._shared) == artifact.sha256:
                advance(artifact.size_bytes)
                partial.replace(self._target)
                return
            # The hash of the whole tells of any damage, in a partial file from an earlier call,
            # too; then once more, and each chunk is checked as it arrives.
            for check_chunks in (False, True):
                if self._receive(partial, advance, check_chunks) == artifact.sha256:
                    partial.replace(self._target)
                    return
                partial.unlink()
        except OSError as error:
            raise TransferFailed(
                "FILE_NOT_WRITTEN",
                f"{self._target} cannot be written: {error.strerror or error}.",
                "Free some space or choose another folder; the same call goes on where it stopped.",
            ) from error
        raise TransferFailed(
            "FILE_DAMAGED",
            f"{artifact.path} arrived twice with a wrong checksum.",
            "The file is damaged on the server; run the job again.",
        )

    def _copy(self, shared: Path) -> str:
        """Copy the file from the server's own folder; return its hash, "" where it is not there."""
        source = shared / self._artifact.path
        digest = hashlib.sha256()
        try:
            reading = source.open("rb")
        except OSError:
            return ""
        with reading:
            self._partial.unlink(missing_ok=True)
            if self._try_link(source):
                for block in read_blocks(reading):
                    digest.update(block)
                if digest.hexdigest() != self._artifact.sha256:
                    self._partial.unlink()  # or the server's own file would be written on
                return digest.hexdigest()
            # Hashed while the next blocks are copied: on a disk, each takes about as long.
            partial = self._partial
            with partial.open("wb", buffering=0) as file, OrderedWorker(digest.update) as hasher:
                for block in read_blocks(reading):
                    self._raise_if_cancelled()
                    hasher.put(memoryview(block))
                    write_all(file, memoryview(block))
        return digest.hexdigest()

    def _try_link(self, source: Path) -> bool:
        """Link the file if it is on the same disk and that is allowed; return whether it was."""
        if not self._link:
            return False
        try:
            os.link(source, self._partial)
        except OSError:
            return False
        return True

    def _raise_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise Cancelled

    def _receive(self, partial: Path, advance: Callable[[int], object], check_chunks: bool) -> str:
        """Download what is missing of the partial file; return the hash of the whole."""
        digest = hashlib.sha256()

        def keep(data: memoryview) -> None:
            digest.update(data)
            write_all(file, data)

        # Hashed and written in one thread, while the next chunk arrives: two of them would only
        # pass it on from one core's cache to another's.
        with partial.open("a+b", buffering=0) as file, OrderedWorker(keep) as keeper:
            file.seek(0)
            for block in read_blocks(file):
                digest.update(block)
            size = file.tell()
            while size < self._artifact.size_bytes:
                self._raise_if_cancelled()
                failure: ClientError
                try:
                    for data in self._read_segment(size, check_chunks):
                        self._raise_if_cancelled()
                        keeper.put(data)
                        size += len(data)
                        advance(size)
                        if data:  # a server that sends nothing must not be asked for ever
                            self._budget.reset()
                    continue
                except (ServerBusy, ServerUnavailable, TransferFailed) as error:
                    if error.reason == "ARTIFACT_DAMAGED":
                        raise
                    failure = error
                self._budget.pause(failure)
        return digest.hexdigest()

    def _read_segment(self, offset: int, check_chunks: bool) -> Iterator[memoryview]:
        """Yield the bytes of one read."""
        request = artifacts_pb2.ReadArtifactRequest(
            name=self._artifact.name, offset=offset, limit=SEGMENT_BYTES
        )
        stream = self._connection.stream(self._connection.read_chunks, request, SEGMENT_TIMEOUT_S)
        start = offset
        for chunk in self._connection.read(stream):
            if chunk.offset != offset or (check_chunks and not chunk.is_whole):
                raise TransferFailed(
                    "CHUNK_DAMAGED",
                    f"A part of {self._artifact.path} arrives damaged again and again.",
                    "Check the network between this machine and the server.",
                )
            offset += len(chunk.data)
            yield chunk.data
        if offset == start:
            raise TransferFailed("FILE_SHORT", f"{self._artifact.path} ends early on the server.")


def _shared_folder(
    local_path: str, artifacts: Sequence[Artifact], path_map: PathMap
) -> Path | None:
    """Return the stack's folder on the server where this machine sees the same manifest there."""
    manifests = [artifact for artifact in artifacts if artifact.path == MANIFEST_NAME]
    for folder in paths_here(local_path, path_map):
        if manifests and _matches(folder / MANIFEST_NAME, manifests[0]):
            return folder
    return None


def target_path(folder: Path, path: str) -> Path:
    """Return where a file goes. Raises ``TransferFailed`` if its path would leave the folder."""
    target = folder / path
    inside = folder.resolve() in target.resolve().parents
    if not (is_safe_path(path) and inside):
        raise TransferFailed(
            "PATH_UNSAFE",
            f"The server names a file outside the stack folder: {path!r}.",
            "Nothing was written there. Do not trust this server.",
        )
    return target


def _partial(item: DownloadItem) -> Path:
    # The hash in the name keeps a partial file from being continued with other content.
    target = item.target
    return target.with_name(f".{target.name}.{item.artifact.sha256[:12]}.part")


def _is_complete(item: DownloadItem) -> bool:
    """Return whether the file is here already. Raises ``TransferFailed`` if another one is."""
    if not item.target.exists():
        return False
    if _matches(item.target, item.artifact):
        return True
    raise TransferFailed(
        "FILE_EXISTS",
        f"{item.target} is another file already.",
        "Choose an empty folder; nothing is overwritten.",
    )


def _matches(path: Path, artifact: Artifact) -> bool:
    return has_content(path, artifact.size_bytes, artifact.sha256)
