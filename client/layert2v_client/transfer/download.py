"""Bring a job's files home: resumed, checked, and each visible only when it is whole.

Every chunk carries a CRC-32, every file a SHA-256. The manifest comes last, so a folder with a
``stack.json`` is a whole stack. Where client and server see the same files, they are copied.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from layert2v.stack import MANIFEST_NAME, is_safe_path
from layert2v.v1 import artifacts_pb2
from layert2v.wire import CHUNK_BYTES
from layert2v_client.connection import PATIENCE_S, Connection, Patience
from layert2v_client.convert import artifact_from_message
from layert2v_client.errors import (
    ClientError,
    NotPossible,
    ServerUnavailable,
    Stopped,
    TransferFailed,
)
from layert2v_client.types import Artifact, JobState, JobStatus

PAGE_SIZE = 500
# At most this much in one read, so that it can have a deadline and a line that hangs is noticed.
SEGMENT_BYTES = 16 * CHUNK_BYTES
SEGMENT_TIMEOUT_S = 120.0

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Terms:
    """How files travel.

    ``report`` hears bytes done and bytes in all. ``patience_s`` is how long a cut line is taken up
    again. ``path_map`` turns prefixes of the server's paths into this machine's. ``link`` allows
    a hard link to a file of the server, where a copy would do. ``stop`` calls it off.
    """

    report: Report | None = None
    patience_s: float = PATIENCE_S
    path_map: tuple[tuple[str, str], ...] = ()
    link: bool = False
    stop: threading.Event | None = None


@dataclass(frozen=True)
class Parcel:
    """A file of a job and where it goes."""

    artifact: Artifact
    target: Path


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
    connection: Connection, status: JobStatus, folder: Path, terms: Terms | None = None
) -> Path:
    """Bring the stack of a finished job into ``folder``, which is made where it is missing.

    Files that are there already are kept when they are the right ones. Raises ``NotPossible``,
    ``TransferFailed`` or another ``ClientError``; after any of them the same call goes on where it
    stopped.
    """
    artifacts = artifacts_of(connection, status)
    parcels = [Parcel(artifact, target_in(folder, artifact.path)) for artifact in artifacts]
    deliver(connection, status, artifacts, parcels, terms or Terms())
    return folder


def artifacts_of(connection: Connection, status: JobStatus) -> list[Artifact]:
    """The files of a finished job, the manifest last. Raises ``NotPossible``, ``ClientError``."""
    if status.state is not JobState.succeeded:
        raise NotPossible(
            "JOB_NOT_SUCCEEDED",
            f"The job is {status.state.value} and has no stack to fetch.",
            "Only a job that succeeded has files.",
        )
    return list_artifacts(connection, status.name)


def deliver(
    connection: Connection,
    status: JobStatus,
    artifacts: Sequence[Artifact],
    parcels: Sequence[Parcel],
    terms: Terms,
) -> None:
    """Bring ``parcels``, some of the job's ``artifacts``, in this order.

    Raises ``TransferFailed``, ``Stopped`` or another ``ClientError``.
    """
    shared = _shared_folder(status.local_path, artifacts, terms.path_map)
    tally = _Tally(sum(parcel.artifact.size_bytes for parcel in parcels), terms.report)
    for parcel in parcels:
        if not _is_there(parcel):
            _Delivery(connection, parcel, shared, terms).run(tally.advanced)
        tally.finished(parcel.artifact.size_bytes)


def forget(connection: Connection, status: JobStatus, folder: Path) -> None:
    """Remove what a download that was called off has brought; a whole stack stays.

    Raises ``ClientError``.
    """
    if not (folder / MANIFEST_NAME).exists():
        artifacts = artifacts_of(connection, status)
        discard([Parcel(artifact, target_in(folder, artifact.path)) for artifact in artifacts])


def discard(parcels: Sequence[Parcel]) -> None:
    """Remove what has arrived of ``parcels``, and the folders that are empty then."""
    for parcel in parcels:
        if _is_right(parcel.target, parcel.artifact):
            parcel.target.unlink()
        _partial(parcel).unlink(missing_ok=True)
    inside_out = sorted(
        {folder for parcel in parcels for folder in _folders(parcel)},
        key=lambda folder: len(folder.parts),
        reverse=True,
    )
    for folder in inside_out:
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()


def _folders(parcel: Parcel) -> Sequence[Path]:
    """The folders around a file, up to that of its stack."""
    depth = len(PurePosixPath(parcel.artifact.path).parts)
    return list(parcel.target.parents)[:depth]


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
        self, connection: Connection, parcel: Parcel, shared: Path | None, terms: Terms
    ) -> None:
        self._connection = connection
        self._artifact = parcel.artifact
        self._target = parcel.target
        self._partial = _partial(parcel)
        self._shared = shared
        self._link = terms.link
        self._stop = terms.stop or threading.Event()
        self._patience = Patience(terms.patience_s, self._stop)

    def run(self, advanced: Callable[[int], object]) -> None:
        """Deliver; ``advanced`` hears the bytes of this file that have arrived."""
        artifact, partial = self._artifact, self._partial
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            if self._shared is not None and self._copy(self._shared) == artifact.sha256:
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

    def _copy(self, shared: Path) -> str:
        """Copy the file from the server's own folder; returns its hash, "" where it is not seen."""
        source = shared / self._artifact.path
        digest = hashlib.sha256()
        try:
            reading = source.open("rb")
        except OSError:
            return ""
        with reading:
            self._partial.unlink(missing_ok=True)
            if self._linked(source):
                for block in _blocks(reading):
                    digest.update(block)
                if digest.hexdigest() != self._artifact.sha256:
                    self._partial.unlink()  # or the server's own file would be written on
                return digest.hexdigest()
            with self._partial.open("wb") as file:
                for block in _blocks(reading):
                    self._go_on()
                    digest.update(block)
                    file.write(block)
        return digest.hexdigest()

    def _linked(self, source: Path) -> bool:
        """Whether the file could be linked: on the same disk, by somebody who may."""
        if not self._link:
            return False
        try:
            os.link(source, self._partial)
        except OSError:
            return False
        return True

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _receive(self, partial: Path, advanced: Callable[[int], object]) -> str:
        """Bring what is missing of the partial file; returns the hash of the whole."""
        digest = hashlib.sha256()
        with partial.open("a+b") as file:
            file.seek(0)
            for block in _blocks(file):
                digest.update(block)
            while file.tell() < self._artifact.size_bytes:
                self._go_on()
                problem: ClientError
                try:
                    for data in self._segment(file.tell()):
                        self._go_on()
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


def _shared_folder(
    local_path: str, artifacts: Sequence[Artifact], path_map: tuple[tuple[str, str], ...]
) -> Path | None:
    """The stack's folder on the server where this machine sees the same manifest there."""
    manifests = [artifact for artifact in artifacts if artifact.path == MANIFEST_NAME]
    for known in (local_path, *_mapped(local_path, path_map)):
        folder = Path(known)
        usable = known and manifests and folder.is_absolute()
        if usable and _is_right(folder / MANIFEST_NAME, manifests[0]):
            return folder
    return None


def _mapped(path: str, path_map: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """``path`` as this machine may know it. Both kinds of slashes end a prefix."""
    for there, here in path_map:
        prefix = there.rstrip("/\\")
        rest = path[len(prefix) :]
        if prefix and path.startswith(prefix) and (not rest or rest[0] in "/\\"):
            yield str(Path(here, *rest.replace("\\", "/").split("/")[1:]))


def target_in(folder: Path, path: str) -> Path:
    """Where a file goes. Raises ``TransferFailed`` for a path that would leave the folder."""
    target = folder / path
    inside = folder.resolve() in target.resolve().parents
    if not (is_safe_path(path) and inside):
        raise TransferFailed(
            "PATH_UNSAFE",
            f"The server names a file outside the stack folder: {path!r}.",
            "Nothing was written there. Do not trust this server.",
        )
    return target


def _partial(parcel: Parcel) -> Path:
    # The hash in the name keeps a partial file from being continued with other content.
    target = parcel.target
    return target.with_name(f".{target.name}.{parcel.artifact.sha256[:12]}.part")


def _is_there(parcel: Parcel) -> bool:
    """Whether the file is here already. Raises ``TransferFailed`` where another one is."""
    if not parcel.target.exists():
        return False
    if _is_right(parcel.target, parcel.artifact):
        return True
    raise TransferFailed(
        "FILE_EXISTS",
        f"{parcel.target} is another file already.",
        "Choose an empty folder; nothing is overwritten.",
    )


def has_content(path: Path, size_bytes: int, sha256: str) -> bool:
    """Whether ``path`` is a file with these bytes; one that cannot be read is not."""
    try:
        return path.stat().st_size == size_bytes and sha256_of(path) == sha256
    except OSError:
        return False


def sha256_of(path: Path, stop: threading.Event | None = None) -> str:
    """The hash of a file. Raises ``OSError``, and ``Stopped`` when ``stop`` is set."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file):
            if stop is not None and stop.is_set():
                raise Stopped
            digest.update(block)
    return digest.hexdigest()


def _is_right(path: Path, artifact: Artifact) -> bool:
    return has_content(path, artifact.size_bytes, artifact.sha256)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(CHUNK_BYTES):
        yield block
