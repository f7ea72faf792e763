"""Bring a job's files home: resumed, checked, and each visible only when it is whole.

Every chunk carries a CRC-32, every file a SHA-256. The manifest comes last, so a folder with a
``stack.json`` is a whole stack. Where client and server see the same files, they are copied.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from layert2v.stack import MANIFEST_NAME, is_safe_path
from layert2v.v1 import artifacts_pb2
from layert2v.wire import CHUNK_BYTES
from layert2v_client.connection import PATIENCE_S, Connection, Patience
from layert2v_client.convert import artifact_from_message
from layert2v_client.errors import ClientError, NotPossible, ServerUnavailable, TransferFailed
from layert2v_client.types import Artifact, JobState, JobStatus

PAGE_SIZE = 500
# At most this much in one read, so that it can have a deadline and a line that hangs is noticed.
SEGMENT_BYTES = 16 * CHUNK_BYTES
SEGMENT_TIMEOUT_S = 120.0

Report = Callable[[int, int], None]


def list_artifacts(connection: Connection, job: str) -> list[Artifact]:
    """The files of a job, the manifest last. Raises ``ClientError``."""
    found: list[Artifact] = []
    token = ""
    while True:
        request = artifacts_pb2.ListArtifactsRequest(job=job, page_size=PAGE_SIZE, page_token=token)
        answer = connection.call(connection.artifacts.ListArtifacts, request)
        found += [artifact_from_message(message) for message in answer.artifacts]
        token = answer.next_page_token
        if not token:
            return sorted(found, key=lambda artifact: artifact.path == MANIFEST_NAME)


def download(
    connection: Connection,
    status: JobStatus,
    folder: Path,
    *,
    report: Report | None = None,
    patience_s: float = PATIENCE_S,
) -> Path:
    """Bring the stack of a finished job into ``folder``, which is made where it is missing.

    Files that are there already are kept when they are the right ones. ``report`` hears bytes done
    and bytes in all. Raises ``NotPossible``, ``TransferFailed`` or another ``ClientError``; after
    any of them the same call goes on where it stopped.
    """
    if status.state is not JobState.succeeded:
        raise NotPossible(
            "JOB_NOT_SUCCEEDED",
            f"The job is {status.state.value} and has no stack to fetch.",
            "Only a job that succeeded has files.",
        )
    artifacts = list_artifacts(connection, status.name)
    shared = _shared_folder(status.local_path, artifacts)
    tally = _Tally(sum(artifact.size_bytes for artifact in artifacts), report)
    for artifact in artifacts:
        target = _target(folder, artifact)
        if not _is_there(target, artifact):
            _Delivery(connection, artifact, target, shared, patience_s).run(tally.advanced)
        tally.finished(artifact.size_bytes)
    return folder


class _Tally:
    """Bytes of the whole stack that are here."""

    def __init__(self, total: int, report: Report | None) -> None:
        self._total = total
        self._report = report
        self._whole_files = 0

    def advanced(self, in_this_file: int) -> None:
        if self._report is not None:
            self._report(self._whole_files + in_this_file, self._total)

    def finished(self, file_bytes: int) -> None:
        self._whole_files += file_bytes
        self.advanced(0)


class _Delivery:
    """One file on its way: into a hidden partial file first, renamed when its hash is right."""

    def __init__(
        self,
        connection: Connection,
        artifact: Artifact,
        target: Path,
        shared: Path | None,
        patience_s: float,
    ) -> None:
        self._connection = connection
        self._artifact = artifact
        self._target = target
        self._shared = shared
        self._patience = Patience(patience_s, threading.Event())

    def run(self, advanced: Callable[[int], object]) -> None:
        """Deliver; ``advanced`` hears the bytes of this file that have arrived."""
        artifact = self._artifact
        # The hash in the name keeps a partial file from being continued with other content.
        partial = self._target.with_name(f".{self._target.name}.{artifact.sha256[:12]}.part")
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            if self._shared is not None and self._copy(self._shared, partial) == artifact.sha256:
                advanced(artifact.size_bytes)
                partial.replace(self._target)
                return
            for _ in range(2):  # a partial file from an earlier call may be damaged: once more
                if self._receive(partial, advanced) == artifact.sha256:
                    partial.replace(self._target)
                    return
                partial.unlink()
        except OSError as problem:
            raise TransferFailed(
                "FILE_NOT_WRITTEN",
                f"{self._target} cannot be written: {problem.strerror or problem}.",
                "Free some space or choose another folder; the same call goes on where it stopped.",
            ) from problem
        raise TransferFailed(
            "FILE_DAMAGED",
            f"{artifact.path} arrived twice with a wrong checksum.",
            "The file is damaged on the server; run the job again.",
        )

    def _copy(self, shared: Path, partial: Path) -> str:
        """Copy the file from the server's own folder; returns its hash, "" where it is not seen."""
        digest = hashlib.sha256()
        try:
            source = (shared / self._artifact.path).open("rb")
        except OSError:
            return ""
        with source, partial.open("wb") as file:
            for block in _blocks(source):
                digest.update(block)
                file.write(block)
        return digest.hexdigest()

    def _receive(self, partial: Path, advanced: Callable[[int], object]) -> str:
        """Bring what is missing of the partial file; returns the hash of the whole."""
        digest = hashlib.sha256()
        with partial.open("a+b") as file:
            file.seek(0)
            for block in _blocks(file):
                digest.update(block)
            while file.tell() < self._artifact.size_bytes:
                problem: ClientError
                try:
                    for data in self._segment(file.tell()):
                        file.write(data)
                        digest.update(data)
                        advanced(file.tell())
                        self._patience.renew()
                    continue
                except (ServerUnavailable, TransferFailed) as cut:
                    problem = cut
                self._patience.pause(problem)
        return digest.hexdigest()

    def _segment(self, offset: int) -> Iterator[bytes]:
        """The checked bytes of one read."""
        request = artifacts_pb2.ReadArtifactRequest(
            name=self._artifact.name, offset=offset, limit=SEGMENT_BYTES
        )
        stream = self._connection.stream(
            self._connection.artifacts.ReadArtifact, request, SEGMENT_TIMEOUT_S
        )
        start = offset
        for message in self._connection.read(stream):
            chunk = message.chunk
            if chunk.offset != offset or zlib.crc32(chunk.data) != chunk.crc32:
                raise TransferFailed(
                    "CHUNK_DAMAGED",
                    f"A part of {self._artifact.path} arrives damaged again and again.",
                    "Check the network between this machine and the server.",
                )
            offset += len(chunk.data)
            yield chunk.data
        if offset == start:
            raise TransferFailed("FILE_SHORT", f"{self._artifact.path} ends early on the server.")


def _shared_folder(local_path: str, artifacts: list[Artifact]) -> Path | None:
    """The stack's folder on the server where this machine sees the same manifest there."""
    folder = Path(local_path)
    manifests = [artifact for artifact in artifacts if artifact.path == MANIFEST_NAME]
    if not (local_path and manifests and folder.is_absolute()):
        return None
    return folder if _has_content(folder / MANIFEST_NAME, manifests[0]) else None


def _target(folder: Path, artifact: Artifact) -> Path:
    """Where a file goes. Raises ``TransferFailed`` for a path that would leave the folder."""
    target = folder / artifact.path
    inside = folder.resolve() in target.resolve().parents
    if not (is_safe_path(artifact.path) and inside):
        raise TransferFailed(
            "PATH_UNSAFE",
            f"The server names a file outside the stack folder: {artifact.path!r}.",
            "Nothing was written there. Do not trust this server.",
        )
    return target


def _is_there(target: Path, artifact: Artifact) -> bool:
    """Whether the file is here already. Raises ``TransferFailed`` where another one is."""
    if not target.exists():
        return False
    if _has_content(target, artifact):
        return True
    raise TransferFailed(
        "FILE_EXISTS",
        f"{target} is another file already.",
        "Choose an empty folder; nothing is overwritten.",
    )


def _has_content(path: Path, artifact: Artifact) -> bool:
    """Whether ``path`` is a file with the artifact's bytes; one that cannot be read is not."""
    digest = hashlib.sha256()
    try:
        if path.stat().st_size != artifact.size_bytes:
            return False
        with path.open("rb") as file:
            for block in _blocks(file):
                digest.update(block)
    except OSError:
        return False
    return digest.hexdigest() == artifact.sha256


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(CHUNK_BYTES):
        yield block
