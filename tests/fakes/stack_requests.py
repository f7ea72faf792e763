"""A client's messages for re-renders: uploads, searches for files, requests."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fakes.live_server import LiveServer
from layert2v.rerender import RerenderSpec
from layert2v.stack import MANIFEST_NAME, FileRecord
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v.wire import rerender_to_message

FOX = RerenderSpec("regenerate", ("fg_01",))


def upload(server: LiveServer, data: bytes) -> Any:
    """Upload one file, and return its artifact."""
    return server.call(server.files.WriteArtifact, _upload_steps(data)).artifact


def find_missing(server: LiveServer, hashes: Iterable[str]) -> list[str]:
    """Return those of ``hashes`` that the server does not have for this user."""
    request = artifacts_pb2.FindFilesRequest(sha256=hashes)
    return list(server.call(server.files.FindFiles, request).missing)


def upload_missing(server: LiveServer, folder: Path, files: Iterable[FileRecord]) -> int:
    """Upload the files of a folder that the server lacks, and return their number."""
    paths = {file.sha256: folder / file.path for file in files}
    hashes = find_missing(server, paths)
    for sha256 in hashes:
        upload(server, paths[sha256].read_bytes())
    return len(hashes)


def rerender(
    server: LiveServer,
    spec: RerenderSpec,
    source: str | Path,
    *,
    inputs: Mapping[str, jobs_pb2.InputFiles] | None = None,
    state: str = "",
    kept: Iterable[jobs_pb2.InputFile] = (),
    request_id: str = "",
) -> Any:
    """Create a job that re-renders a stack: that of a job, or the one in a folder."""
    message = jobs_pb2.RerenderRequest(
        spec=rerender_to_message(spec), inputs=inputs, state=state, kept=kept
    )
    if isinstance(source, Path):
        message.manifest = (source / MANIFEST_NAME).read_text(encoding="utf-8")
    else:
        message.job = source
    request = jobs_pb2.CreateJobRequest(
        request_id=request_id or str(uuid.uuid4()), rerender=message
    )
    return server.call(server.jobs.CreateJob, request)


def image_input(folder: Path) -> jobs_pb2.InputFiles:
    """Return all files in a folder as an input."""
    files = [
        jobs_pb2.InputFile(path=path.name, size_bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in sorted(folder.iterdir())
    ]
    return jobs_pb2.InputFiles(list=jobs_pb2.FileList(files=files))


def file_records(folder: Path) -> list[FileRecord]:
    """Return all files in a folder for ``upload_missing``."""
    return [FileRecord(path.name, 0, sha256_of(path)) for path in sorted(folder.iterdir())]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _upload_steps(data: bytes) -> Iterator[artifacts_pb2.WriteArtifactRequest]:
    begin = artifacts_pb2.BeginWrite(
        upload_id=str(uuid.uuid4()),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/x-exr",
    )
    yield artifacts_pb2.WriteArtifactRequest(begin=begin)
    chunk = artifacts_pb2.Chunk(offset=0, data=data, crc32=zlib.crc32(data))
    yield artifacts_pb2.WriteArtifactRequest(chunk=chunk)
    yield artifacts_pb2.WriteArtifactRequest(finish=artifacts_pb2.FinishWrite())
