"""Uploads by content: what the server holds already does not travel.

Every chunk carries a CRC-32, every file a SHA-256; an upload that broke continues where the server
has it. A server on the same disk copies the file itself. Knows files, not what they are for.
"""

from __future__ import annotations

import contextlib
import itertools
import mimetypes
import stat
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from layert2v.chunk_codec import ChunkEncoder
from layert2v.v1 import artifacts_pb2
from layert2v.wire import CHUNK_BYTES, MAX_FIND_FILES
from layert2v_client.connection import TOO_FAST, Connection, RetryBudget
from layert2v_client.errors import Cancelled, ClientError, InvalidRequest, ServerUnavailable
from layert2v_client.transfer.file_hash import read_all, sha256_of
from layert2v_client.transfer.options import TransferOptions
from layert2v_client.transfer.shared_disk import SharedInbox

# A stream ends after so long, with the chunk that it is at: then progress is reported, and each has
# a deadline. Not after so many chunks, since the pipeline runs empty in between.
SEGMENT_S = 3.0
SEGMENT_TIMEOUT_S = 480.0


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine with the content it should have."""

    path: Path
    size_bytes: int
    sha256: str


def local_file(path: Path, stop: threading.Event | None = None) -> LocalFile:
    """Return the file as it is. Raises ``InvalidRequest`` if it cannot be read, ``Cancelled``."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # a pipe or a device would be read for ever
            raise OSError("it is no file")
        return LocalFile(path, info.st_size, sha256_of(path, stop))
    except OSError as error:
        raise _unreadable_error(path, error) from error


def find_missing(connection: Connection, hashes: Iterable[str]) -> set[str]:
    """Return those SHA-256 sums that the server does not hold. Raises ``ClientError``."""
    wanted = sorted(set(hashes))
    found: set[str] = set()
    for start in range(0, len(wanted), MAX_FIND_FILES):
        request = artifacts_pb2.FindFilesRequest(sha256=wanted[start : start + MAX_FIND_FILES])
        found.update(connection.call(connection.artifacts.FindFiles, request).missing)
    return found


def upload_files(
    connection: Connection,
    files: Mapping[str, LocalFile],
    request_id: uuid.UUID,
    options: TransferOptions,
) -> None:
    """Upload ``files``, which are given by their SHA-256.

    The same ``request_id`` continues what an earlier call has uploaded. Raises ``InvalidRequest``
    where a file is not what it should be, ``Cancelled`` or another ``ClientError``.
    """
    total = sum(file.size_bytes for file in files.values())
    done, inbox = 0, SharedInbox(options.path_map)
    for file in files.values():
        _Upload(connection, file, request_id, options).run(done, total, inbox)
        done += file.size_bytes
        if options.report is not None:
            options.report(done, total)


class _Upload:
    """The upload of one file."""

    def __init__(
        self,
        connection: Connection,
        file: LocalFile,
        request_id: uuid.UUID,
        options: TransferOptions,
    ) -> None:
        self._connection = connection
        self._file = file
        self._options = options
        self._stop = options.stop or threading.Event()
        self._budget = RetryBudget(options.retry_timeout_s, self._stop)
        media_type, _ = mimetypes.guess_type(file.path.name)
        self._begin = artifacts_pb2.BeginWrite(
            # Of the request, not of the content alone: others may upload the same at this moment.
            upload_id=str(uuid.uuid5(request_id, file.sha256)),
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            media_type=media_type or "application/octet-stream",
        )

    def run(self, done: int, total: int, inbox: SharedInbox) -> None:
        """Upload it; ``done`` of ``total`` bytes of all files went before."""
        answer = self._query()
        offset, is_complete = _progress(answer)
        offered = None if is_complete else inbox.link(self._file.path, answer.inbox_path)
        try:
            while not is_complete:
                if self._stop.is_set():
                    raise Cancelled
                try:
                    answer = self._send_segment(offset) if offered is None else self._finish()
                    offset, is_complete = _progress(answer)
                    self._budget.reset()
                    if self._options.report is not None:
                        self._options.report(done + offset, total)
                    continue
                except ClientError as error:
                    failure = error
                if offered is not None and not isinstance(failure, ServerUnavailable):
                    inbox.is_usable = False  # chunks are sent from now on
                    _unlink(offered)
                    offered = None
                else:
                    self._raise_unless_passing(failure)
                self._budget.pause(failure)
                offset, is_complete = _progress(self._query())
        finally:
            _unlink(offered)

    def _raise_unless_passing(self, failure: ClientError) -> None:
        """Raise an error after which the same upload would fail again."""
        if failure.reason == "CHECKSUM_WRONG":
            self._check_content()
        elif not (
            isinstance(failure, ServerUnavailable) or failure.reason in ("TOO_MANY_CALLS", TOO_FAST)
        ):
            raise failure

    def _query(self) -> Any:
        request = artifacts_pb2.QueryWriteRequest(upload_id=self._begin.upload_id)
        return self._connection.call(self._connection.artifacts.QueryWrite, request)

    def _finish(self) -> Any:
        """End the upload, of whose bytes the server copies what it lacks."""
        steps = (
            artifacts_pb2.WriteArtifactRequest(begin=self._begin),
            artifacts_pb2.WriteArtifactRequest(finish=artifacts_pb2.FinishWrite()),
        )
        return self._connection.call(self._connection.write_chunks, iter(steps), SEGMENT_TIMEOUT_S)

    def _send_segment(self, offset: int) -> Any:
        """Send chunks from ``offset`` on for a while, and the end where they reach it."""
        failures: list[ClientError] = []
        steps = self._steps(offset, failures)
        try:
            answer = self._connection.call(self._connection.write_chunks, steps, SEGMENT_TIMEOUT_S)
        except ClientError as error:
            raise failures[0] if failures else error from None
        if failures:
            raise failures[0]
        return answer

    def _steps(self, offset: int, failures: list[ClientError]) -> Iterator[Any]:
        """Yield the steps of one segment, read as they are sent.

        gRPC calls this in a thread of its own, where an error would be lost: it goes to
        ``failures``, and the stream ends.
        """
        yield artifacts_pb2.WriteArtifactRequest(begin=self._begin)
        try:
            with self._file.path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as reader:
                # By turns: one step is read and summed while the one before is sent.
                encoders = ChunkEncoder(), ChunkEncoder()
                until = time.monotonic() + SEGMENT_S
                coming = reader.submit(self._read_step, file, offset, encoders[0])
                for number in itertools.count(1):
                    step, offset = coming.result()
                    if self._stop.is_set():
                        failures.append(Cancelled())
                        return
                    if step is None:
                        break
                    coming = reader.submit(self._read_step, file, offset, encoders[number % 2])
                    yield step
                    if time.monotonic() >= until:
                        break
        except OSError as error:
            failures.append(_unreadable_error(self._file.path, error))
            return
        except ClientError as error:
            failures.append(error)
            return
        if offset >= self._file.size_bytes:
            yield artifacts_pb2.WriteArtifactRequest(finish=artifacts_pb2.FinishWrite())

    def _read_step(
        self, file: FileIO, offset: int, encoder: ChunkEncoder
    ) -> tuple[bytes | None, int]:
        """Return the step at ``offset`` of an open file, None at its end, and where that ends.

        Raises ``InvalidRequest`` where the file is shorter than it was.
        """
        size = min(CHUNK_BYTES, self._file.size_bytes - offset)
        if not size:
            return None, offset

        def read(data: memoryview) -> None:
            file.seek(offset)
            if not read_all(file, data):
                raise _changed_error(self._file.path)

        return encoder.encode_write_request(offset, size, read), offset + size

    def _check_content(self) -> None:
        """Raise ``InvalidRequest`` if the file has changed on this side."""
        if local_file(self._file.path) != self._file:
            raise _changed_error(self._file.path)


def _progress(answer: Any) -> tuple[int, bool]:
    """Return how many bytes the server has, and whether it has them all."""
    return answer.committed_bytes, answer.HasField("artifact")


def _unlink(path: Path | None) -> None:
    """Remove what was offered to the server, which may have done so."""
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()


def _unreadable_error(path: Path, error: OSError) -> InvalidRequest:
    message = f"{path} cannot be read: {error.strerror or error}."
    return InvalidRequest("FILE_UNREADABLE", message)


def _changed_error(path: Path) -> InvalidRequest:
    return InvalidRequest(
        "FILE_CHANGED",
        f"{path} is not the file any more that it was.",
        "Bring the file back; a layer that was painted over belongs into a plate.",
    )
