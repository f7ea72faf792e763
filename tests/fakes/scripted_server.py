"""A real gRPC server in this process whose responses the test writes beforehand.

It stands for the transport and the other side of the contract, never for a part of the client.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from layert2v.v1 import (
    artifacts_pb2,
    artifacts_pb2_grpc,
    errors_pb2,
    jobs_pb2,
    jobs_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)
from layert2v.wire import ERROR_TRAILER, TOKEN_METADATA

Context = grpc.ServicerContext


@dataclass
class Script:
    """What the server holds, which faults it will show, and which calls it got."""

    jobs: dict[str, jobs_pb2.Job] = field(default_factory=dict)
    updates: list[jobs_pb2.JobUpdate] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, bytes] = field(default_factory=dict)  # listed so, but sent as in files
    info: server_pb2.ServerInfo = field(default_factory=server_pb2.ServerInfo)
    bearer: str = ""  # the token that callers must show
    page: int = 2
    chunk_bytes: int = 4
    refuse: list[tuple[Any, errors_pb2.ErrorDetail | None]] = field(default_factory=list)
    break_watches_after: list[int] = field(default_factory=list)  # messages, one entry per attach
    break_reads_after: list[int] = field(default_factory=list)  # chunks, one entry per read
    damaged_reads: list[int] = field(default_factory=list)  # numbers of reads, from 0
    cancelled_update: jobs_pb2.JobUpdate | None = None
    requests: dict[str, str] = field(default_factory=dict)  # request_id -> job
    watched_from: list[int] = field(default_factory=list)
    read_from: list[tuple[str, int]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    submitted: list[jobs_pb2.GenerateSpec] = field(default_factory=list)
    priorities: list[int] = field(default_factory=list)


class ScriptedServer(
    jobs_pb2_grpc.JobServiceServicer,
    artifacts_pb2_grpc.ArtifactServiceServicer,
    server_pb2_grpc.ServerServiceServicer,
):
    """A server that follows a ``Script``; a second ``start`` takes the same port."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        jobs_pb2_grpc.add_JobServiceServicer_to_server(self, self._server)
        artifacts_pb2_grpc.add_ArtifactServiceServicer_to_server(self, self._server)
        server_pb2_grpc.add_ServerServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait()

    def CreateJob(self, request: jobs_pb2.CreateJobRequest, context: Context) -> jobs_pb2.Job:
        self._check_call(context)
        name = self.script.requests.setdefault(
            request.request_id, f"jobs/{len(self.script.requests) + 1}"
        )
        if name not in self.script.jobs:
            self.script.submitted.append(request.spec)
            self.script.jobs[name] = jobs_pb2.Job(
                name=name, state=jobs_pb2.JOB_STATE_QUEUED, revision=1, spec=request.spec
            )
            self.script.priorities.append(request.priority)
        return self.script.jobs[name]

    def GetJob(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.Job:
        self._check_call(context)
        return self._job(request.name, context)

    def ListJobs(
        self, request: jobs_pb2.ListJobsRequest, context: Context
    ) -> jobs_pb2.ListJobsResponse:
        self._check_call(context)
        jobs = [
            job
            for job in self.script.jobs.values()
            if not request.states or job.state in request.states
        ]
        rows, token = self._page(jobs, request.page_token)
        return jobs_pb2.ListJobsResponse(jobs=rows, next_page_token=token)

    def CancelJob(self, request: jobs_pb2.CancelJobRequest, context: Context) -> jobs_pb2.Job:
        self._check_call(context)
        self.script.cancelled.append(request.name)
        if self.script.cancelled_update is not None:
            self.script.updates = [self.script.cancelled_update]
        return self.script.jobs[request.name]

    def DeleteJob(
        self, request: jobs_pb2.DeleteJobRequest, context: Context
    ) -> jobs_pb2.DeleteJobResponse:
        self._check_call(context)
        self._job(request.name, context)
        del self.script.jobs[request.name]
        return jobs_pb2.DeleteJobResponse()

    def WatchJob(
        self, request: jobs_pb2.WatchJobRequest, context: Context
    ) -> Iterator[jobs_pb2.JobUpdate]:
        self._check_call(context)
        job = self._job(request.name, context)
        self.script.watched_from.append(request.from_revision)
        cuts = self.script.break_watches_after
        cut = cuts.pop(0) if cuts else None
        later = [u for u in self.script.updates if u.job.revision > request.from_revision]
        for number, update in enumerate(later):
            if number == cut:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            job.CopyFrom(update.job)
            yield update

    def ListArtifacts(
        self, request: artifacts_pb2.ListArtifactsRequest, context: Context
    ) -> artifacts_pb2.ListArtifactsResponse:
        self._check_call(context)
        files = {**self.script.files, **self.script.promised}
        artifacts = [artifact(path, data) for path, data in files.items()]
        rows, token = self._page(artifacts, request.page_token)
        return artifacts_pb2.ListArtifactsResponse(artifacts=rows, next_page_token=token)

    def ReadArtifact(
        self, request: artifacts_pb2.ReadArtifactRequest, context: Context
    ) -> Iterator[artifacts_pb2.ReadArtifactResponse]:
        self._check_call(context)
        number = len(self.script.read_from)
        self.script.read_from.append((request.name, request.offset))
        cuts = self.script.break_reads_after
        cut = cuts.pop(0) if cuts else None
        data = self.script.files[request.name.removeprefix("artifact:")]
        end = min(request.offset + (request.limit or len(data)), len(data))
        steps = range(request.offset, end, self.script.chunk_bytes)
        for sent, offset in enumerate(steps):
            if sent == cut:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            part = data[offset : min(offset + self.script.chunk_bytes, end)]
            crc = zlib.crc32(part)
            if number in self.script.damaged_reads:
                part = bytes([part[0] ^ 1]) + part[1:]
            chunk = artifacts_pb2.Chunk(offset=offset, data=part, crc32=crc)
            yield artifacts_pb2.ReadArtifactResponse(chunk=chunk)

    def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: Context
    ) -> server_pb2.ServerInfo:
        self._check_call(context)
        return self.script.info

    def _check_call(self, context: Context) -> None:
        metadata = dict(context.invocation_metadata())
        if self.script.bearer and metadata.get(TOKEN_METADATA) != f"Bearer {self.script.bearer}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
        if self.script.refuse:
            code, detail = self.script.refuse.pop(0)
            if detail is not None:
                context.set_trailing_metadata([(ERROR_TRAILER, detail.SerializeToString())])
            context.abort(code, "scripted")

    def _job(self, name: str, context: Context) -> jobs_pb2.Job:
        if name not in self.script.jobs:
            refuse(context, grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND", "There is no such job.")
        return self.script.jobs[name]

    def _page(self, rows: list[Any], token: str) -> tuple[list[Any], str]:
        start = int(token or 0)
        end = start + self.script.page
        return rows[start:end], str(end) if end < len(rows) else ""


def refuse(context: Context, code: Any, reason: str, message: str) -> None:
    """End a call as a LayerT2V server does."""
    detail = errors_pb2.ErrorDetail(reason=reason, message=message)
    context.set_trailing_metadata([(ERROR_TRAILER, detail.SerializeToString())])
    context.abort(code, message)


def artifact(path: str, data: bytes) -> artifacts_pb2.Artifact:
    """Return the description of a file."""
    return artifacts_pb2.Artifact(
        name=f"artifact:{path}",
        path=path,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="application/octet-stream",
    )


def update(
    name: str, revision: int, state: jobs_pb2.JobState, change: Callable[[Any], None] | None = None
) -> jobs_pb2.JobUpdate:
    """Return one message of a watch."""
    job = jobs_pb2.Job(name=name, revision=revision, state=state)
    if change is not None:
        change(job)
    return jobs_pb2.JobUpdate(job=job)
