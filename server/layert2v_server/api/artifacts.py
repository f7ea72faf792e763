"""ArtifactService: downloads of job files from any offset, and uploads, in checked chunks."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeAlias, TypeVar

import grpc

from layert2v.chunk_codec import FileChunk
from layert2v.v1 import artifacts_pb2, artifacts_pb2_grpc
from layert2v.wire import CHUNK_BYTES, MAX_CHUNK_BYTES, MAX_FIND_FILES
from layert2v_server.api.chunk_sink import ChunkSink
from layert2v_server.api.chunks import ChunkReader
from layert2v_server.api.convert import (
    artifact_to_message,
    clamp_page_size,
    parse_artifact_name,
    parse_job_name,
    parse_page_token,
)
from layert2v_server.api.interceptor import current_principal, current_user
from layert2v_server.errors import (
    ChecksumMismatch,
    InvalidArgument,
    JobNotFound,
    OffsetOutOfRange,
    UploadBusy,
)
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.quota import DiskQuota
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.inbox import Inbox
from layert2v_server.store.stored_file import Readable
from layert2v_server.store.upload_writer import UploadWriter
from layert2v_server.store.uploads import Upload, UploadStore

Context: TypeAlias = grpc.aio.ServicerContext
T = TypeVar("T")

TURNS_PER_CALL = 16  # of an offered file: then progress is told, and a cancel heard

_UPLOADS = "uploads/"


class ArtifactService(artifacts_pb2_grpc.ArtifactServiceServicer):
    """Files of the caller's jobs, and files that the caller uploads."""

    def __init__(
        self,
        monitor: JobMonitor,
        artifacts: ArtifactStore,
        uploads: UploadStore,
        content_index: ContentIndex,
        quota: DiskQuota,
        inbox: Inbox | None = None,
    ) -> None:
        self._monitor = monitor
        self._content_index = content_index
        self._store = monitor.store
        self._artifacts = artifacts
        self._uploads = uploads
        self._quota = quota
        self._inbox = inbox  # of callers who see the data folder
        self._open_uploads: set[tuple[str, str]] = set()  # user and id
        self._finishing: dict[Upload, asyncio.Future[artifacts_pb2.WriteArtifactResponse]] = {}
        self._pools = monitor.pools

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
    ) -> AsyncGenerator[bytes, None]:
        file, size_bytes, sha256 = await self._find(request.name)
        offset = request.offset
        if not 0 <= offset <= size_bytes or request.limit < 0:
            raise OffsetOutOfRange(f"The file has {size_bytes} bytes; there is none at {offset}.")
        end = min(offset + (request.limit or size_bytes), size_bytes)
        # EXR is compressed already.
        context.set_compression(grpc.Compression.NoCompression)
        first = artifacts_pb2.ReadArtifactResponse(size_bytes=size_bytes, sha256=sha256)
        reader = ChunkReader(file, end, first.SerializeToString())
        pool = self._pools.transfers if file.is_remote else self._pools.chunks
        pending = _start(pool.run(reader.read, offset))
        try:
            for following in range(offset + CHUNK_BYTES, end, CHUNK_BYTES):
                # The next chunk is read while this one is sent.
                message, pending = await pending, _start(pool.run(reader.read, following))
                yield message
            yield await pending
        finally:
            pending.cancel()
            file.close()

    async def WriteArtifact(
        self,
        request_iterator: AsyncIterator[artifacts_pb2.WriteArtifactRequest | FileChunk],
        context: Context,
    ) -> artifacts_pb2.WriteArtifactResponse:
        first = await anext(request_iterator, None)
        if first is None or isinstance(first, FileChunk) or first.WhichOneof("step") != "begin":
            raise InvalidArgument("An upload starts with begin.")
        upload = Upload(
            id=first.begin.upload_id,
            owner=current_user(),
            size_bytes=first.begin.size_bytes,
            sha256=first.begin.sha256,
            media_type=first.begin.media_type,
        )
        key = (upload.owner, upload.id)
        writer = self._uploads.writer(upload)
        if key in self._open_uploads:
            raise UploadBusy
        self._open_uploads.add(key)
        sink = ChunkSink(self._pools.chunks, functools.partial(_store_chunk, writer))

        def end() -> None:
            closing = _start(self._pools.chunks.run(writer.close))
            closing.add_done_callback(lambda _: self._open_uploads.discard(key))

        try:
            answer = await self._receive(upload, sink, request_iterator)
            await self._pools.chunks.run(writer.close)
            if answer is None:
                answer = await self._copy_offered(upload)
            if answer is None:
                answer = await self._finish_once(upload)
            return answer
        finally:
            sink.stop(end)  # what is written and hashed last must not meet the next attempt

    async def QueryWrite(
        self, request: artifacts_pb2.QueryWriteRequest, context: Context
    ) -> artifacts_pb2.QueryWriteResponse:
        return await self._pools.chunks.run(self._query_upload, request.upload_id, current_user())

    def _query_upload(self, upload_id: str, owner: str) -> artifacts_pb2.QueryWriteResponse:
        committed = self._uploads.committed_bytes(upload_id, owner)
        answer = artifacts_pb2.QueryWriteResponse(committed_bytes=committed)
        if self._uploads.is_complete(upload_id, owner):
            answer.artifact.CopyFrom(_upload_to_message(self._uploads.get(upload_id, owner)))
        elif self._inbox is not None:
            answer.inbox_path = str(self._inbox.place(upload_id, owner))
        return answer

    async def DeleteUploads(
        self, request: artifacts_pb2.DeleteUploadsRequest, context: Context
    ) -> artifacts_pb2.DeleteUploadsResponse:
        if len(request.upload_ids) > MAX_FIND_FILES:
            raise InvalidArgument(f"At most {MAX_FIND_FILES} uploads can be deleted at once.")
        wanted = None if request.all else list(request.upload_ids)
        pool = self._pools.staging(is_remote=self._uploads.is_remote)
        count = await pool.run(self._uploads.delete, current_user(), wanted)
        return artifacts_pb2.DeleteUploadsResponse(deleted=count)

    async def FindFiles(
        self, request: artifacts_pb2.FindFilesRequest, context: Context
    ) -> artifacts_pb2.FindFilesResponse:
        hashes = tuple(dict.fromkeys(request.sha256))
        if len(hashes) > MAX_FIND_FILES:
            raise InvalidArgument(f"At most {MAX_FIND_FILES} files can be looked for at once.")
        found = await self._pools.heavy.run(self._content_index.find, current_user(), hashes)
        return artifacts_pb2.FindFilesResponse(
            missing=[sha256 for sha256 in hashes if sha256 not in found]
        )

    async def _receive(
        self,
        upload: Upload,
        sink: ChunkSink,
        steps: AsyncIterator[artifacts_pb2.WriteArtifactRequest | FileChunk],
    ) -> artifacts_pb2.WriteArtifactResponse | None:
        """Store what comes; return None where it ends with ``finish``."""
        committed = await self._pools.chunks.run(self._begin, upload)
        async for step in steps:
            if not isinstance(step, FileChunk) and step.WhichOneof("step") == "finish":
                await sink.drain()
                return None
            if not isinstance(step, FileChunk) or len(step.data) > MAX_CHUNK_BYTES:
                raise InvalidArgument(f"A step is a chunk of at most {MAX_CHUNK_BYTES} bytes.")
            await sink.put(step)  # written and hashed while the next ones arrive
            committed = step.offset + len(step.data)
        await sink.drain()
        return _partial_answer(committed)

    async def _copy_offered(self, upload: Upload) -> artifacts_pb2.WriteArtifactResponse | None:
        """Copy a file that the caller offers; return None where all of it is here, or none is."""
        if self._inbox is None:
            return None
        committed = 0
        for _ in range(TURNS_PER_CALL):
            work = _start(self._pools.chunks.run(self._inbox.copy, upload))
            try:
                copied = await asyncio.shield(work)
            finally:
                if not work.done():  # the caller has left: this must not meet the next attempt
                    await asyncio.wait({work})
            if copied is None or copied >= upload.size_bytes:
                return None
            committed = copied
        return _partial_answer(committed)

    async def _finish_once(self, upload: Upload) -> artifacts_pb2.WriteArtifactResponse:
        """Finish an upload. It goes on where the caller leaves, and the next attempt joins it."""
        work = self._finishing.get(upload)
        if work is None:
            pool = self._pools.staging(is_remote=self._uploads.is_remote)
            work = self._finishing[upload] = _start(pool.run(self._finish, upload))
            work.add_done_callback(lambda _: self._finishing.pop(upload, None))
        return await asyncio.shield(work)

    def _finish(self, upload: Upload) -> artifacts_pb2.WriteArtifactResponse:
        if self._inbox is not None:
            self._inbox.remove(upload)
        self._uploads.finish(upload)
        return artifacts_pb2.WriteArtifactResponse(
            committed_bytes=upload.size_bytes, artifact=_upload_to_message(upload)
        )

    def _begin(self, upload: Upload) -> int:
        if not self._uploads.is_announced(upload.id, upload.owner):
            self._quota.require_for_upload(upload.owner, upload.size_bytes)
        return self._uploads.begin(upload)

    async def _find(self, name: str) -> tuple[Readable, int, str]:
        """Return reader, size and SHA-256 of a file of the caller. Raises ``ArtifactNotFound``."""
        if name.startswith(_UPLOADS):
            identity, user = name.removeprefix(_UPLOADS), current_user()
            upload = await self._pools.chunks.run(self._uploads.get, identity, user)
            reader = await self._pools.chunks.run(self._uploads.open, identity, user)
            return reader, upload.size_bytes, upload.sha256
        job, position = parse_artifact_name(name)
        await self._own_job(job)
        file = await self._monitor.run(self._store.get_artifact, job, position)
        reader = await self._monitor.run(self._artifacts.open_result, job, file.path)
        return reader, file.size_bytes, file.sha256

    async def _own_job(self, identity: str) -> str:
        job = await self._monitor.run(self._store.get, identity)
        if not current_principal().may_use(job.owner):
            raise JobNotFound(f"jobs/{identity}")  # as for a job that there is not
        return job.id


def _store_chunk(writer: UploadWriter, chunk: FileChunk) -> None:
    if not chunk.is_whole:
        raise ChecksumMismatch("A chunk arrived damaged.", "Go on from the committed size.")
    writer.append(chunk.offset, chunk.data)


def _partial_answer(size_bytes: int) -> artifacts_pb2.WriteArtifactResponse:
    return artifacts_pb2.WriteArtifactResponse(committed_bytes=size_bytes)


def _start(work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Start some work; where the caller has left, nobody asks for its error."""
    started = asyncio.ensure_future(work)
    started.add_done_callback(lambda done: done.cancelled() or done.exception())
    return started


def _upload_to_message(upload: Upload) -> artifacts_pb2.Artifact:
    return artifacts_pb2.Artifact(
        name=f"{_UPLOADS}{upload.id}",
        path=upload.id,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        media_type=upload.media_type,
    )
