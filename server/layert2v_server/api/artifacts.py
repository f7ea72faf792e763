"""ArtifactService: downloads of job files from any offset, and uploads, in checked chunks."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TypeAlias

import grpc

from layert2v.v1 import artifacts_pb2, artifacts_pb2_grpc
from layert2v.wire import MAX_CHUNK_BYTES, MAX_FIND_FILES
from layert2v_server.api.convert import (
    artifact_to_message,
    clamp_page_size,
    parse_artifact_name,
    parse_job_name,
    parse_page_token,
)
from layert2v_server.api.interceptor import current_user
from layert2v_server.errors import (
    ArtifactNotFound,
    ChecksumMismatch,
    InvalidArgument,
    OffsetOutOfRange,
    UploadBusy,
)
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.store.artifacts import ArtifactStore, read_chunks
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.uploads import Upload, UploadStore

Context: TypeAlias = grpc.aio.ServicerContext
_UPLOADS = "uploads/"


class ArtifactService(artifacts_pb2_grpc.ArtifactServiceServicer):
    """Files of the caller's jobs, and files that the caller uploads."""

    def __init__(
        self,
        monitor: JobMonitor,
        artifacts: ArtifactStore,
        uploads: UploadStore,
        content_index: ContentIndex,
    ) -> None:
        self._monitor = monitor
        self._content_index = content_index
        self._store = monitor.store
        self._artifacts = artifacts
        self._uploads = uploads
        self._open_uploads: set[str] = set()

    async def ListArtifacts(
        self, request: artifacts_pb2.ListArtifactsRequest, context: Context
    ) -> artifacts_pb2.ListArtifactsResponse:
        job = await self._own_job(parse_job_name(request.job))
        start = parse_page_token(request.page_token) or 0
        size = clamp_page_size(request.page_size, default=500, maximum=2000)
        files = await self._monitor.run(self._store.list_artifacts, job, start=start, size=size + 1)
        return artifacts_pb2.ListArtifactsResponse(
            artifacts=[
                artifact_to_message(job, start + index, file)
                for index, file in enumerate(files[:size])
            ],
            next_page_token=str(start + size) if len(files) > size else "",
        )

    async def ReadArtifact(
        self, request: artifacts_pb2.ReadArtifactRequest, context: Context
    ) -> AsyncGenerator[artifacts_pb2.ReadArtifactResponse, None]:
        path, size_bytes, sha256 = await self._find(request.name)
        offset = request.offset
        if not 0 <= offset <= size_bytes or request.limit < 0:
            raise OffsetOutOfRange(f"The file has {size_bytes} bytes; there is none at {offset}.")
        length = min(request.limit or size_bytes, size_bytes - offset)
        # EXR is compressed already.
        context.set_compression(grpc.Compression.NoCompression)
        answer = artifacts_pb2.ReadArtifactResponse(size_bytes=size_bytes, sha256=sha256)
        chunks = read_chunks(path, offset, length)
        data = await asyncio.to_thread(next, chunks, b"")
        while True:
            answer.chunk.CopyFrom(
                artifacts_pb2.Chunk(offset=offset, data=data, crc32=zlib.crc32(data))
            )
            yield answer
            offset += len(data)
            data = await asyncio.to_thread(next, chunks, b"")
            if not data:
                return
            answer = artifacts_pb2.ReadArtifactResponse()

    async def WriteArtifact(
        self,
        request_iterator: AsyncIterator[artifacts_pb2.WriteArtifactRequest],
        context: Context,
    ) -> artifacts_pb2.WriteArtifactResponse:
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("step") != "begin":
            raise InvalidArgument("An upload starts with begin.")
        upload = Upload(
            id=first.begin.upload_id,
            owner=current_user(),
            size_bytes=first.begin.size_bytes,
            sha256=first.begin.sha256,
            media_type=first.begin.media_type,
        )
        if upload.id in self._open_uploads:
            raise UploadBusy
        self._open_uploads.add(upload.id)
        try:
            return await self._receive(upload, request_iterator)
        finally:
            self._open_uploads.discard(upload.id)

    async def QueryWrite(
        self, request: artifacts_pb2.QueryWriteRequest, context: Context
    ) -> artifacts_pb2.QueryWriteResponse:
        committed = await asyncio.to_thread(
            self._uploads.committed_bytes, request.upload_id, current_user()
        )
        answer = artifacts_pb2.QueryWriteResponse(committed_bytes=committed)
        if await asyncio.to_thread(self._uploads.path(request.upload_id).exists):
            upload = await asyncio.to_thread(self._uploads.get, request.upload_id, current_user())
            answer.artifact.CopyFrom(_upload_to_message(upload))
        return answer

    async def FindFiles(
        self, request: artifacts_pb2.FindFilesRequest, context: Context
    ) -> artifacts_pb2.FindFilesResponse:
        hashes = tuple(dict.fromkeys(request.sha256))
        if len(hashes) > MAX_FIND_FILES:
            raise InvalidArgument(f"At most {MAX_FIND_FILES} files can be looked for at once.")
        found = await self._monitor.run(self._content_index.find, current_user(), hashes)
        return artifacts_pb2.FindFilesResponse(
            missing=[sha256 for sha256 in hashes if sha256 not in found]
        )

    async def _receive(
        self, upload: Upload, steps: AsyncIterator[artifacts_pb2.WriteArtifactRequest]
    ) -> artifacts_pb2.WriteArtifactResponse:
        committed = await asyncio.to_thread(self._uploads.begin, upload)
        async for step in steps:
            if step.WhichOneof("step") == "finish":
                await asyncio.to_thread(self._uploads.finish, upload)
                return artifacts_pb2.WriteArtifactResponse(
                    committed_bytes=upload.size_bytes, artifact=_upload_to_message(upload)
                )
            if step.WhichOneof("step") != "chunk" or len(step.chunk.data) > MAX_CHUNK_BYTES:
                raise InvalidArgument(f"A step is a chunk of at most {MAX_CHUNK_BYTES} bytes.")
            if zlib.crc32(step.chunk.data) != step.chunk.crc32:
                raise ChecksumMismatch("A chunk arrived damaged.", "Go on from the committed size.")
            committed = await asyncio.to_thread(
                self._uploads.append, upload, step.chunk.offset, step.chunk.data
            )
        return artifacts_pb2.WriteArtifactResponse(committed_bytes=committed)

    async def _find(self, name: str) -> tuple[Path, int, str]:
        """Return path, size and SHA-256 of a file of the caller. Raises ``ArtifactNotFound``."""
        if name.startswith(_UPLOADS):
            identity = name.removeprefix(_UPLOADS)
            upload = await asyncio.to_thread(self._uploads.get, identity, current_user())
            return self._uploads.path(identity), upload.size_bytes, upload.sha256
        job, position = parse_artifact_name(name)
        await self._own_job(job)
        file = await self._monitor.run(self._store.get_artifact, job, position)
        return self._artifacts.stack_folder(job) / file.path, file.size_bytes, file.sha256

    async def _own_job(self, identity: str) -> str:
        job = await self._monitor.run(self._store.get, identity)
        if job.owner != current_user():
            raise ArtifactNotFound(identity)
        return job.id


def _upload_to_message(upload: Upload) -> artifacts_pb2.Artifact:
    return artifacts_pb2.Artifact(
        name=f"{_UPLOADS}{upload.id}",
        path=upload.id,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        media_type=upload.media_type,
    )
