"""JobService: messages in, the board and the intake behind, messages out."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import TypeAlias

import grpc

from layert2v.v1 import jobs_pb2, jobs_pb2_grpc
from layert2v_server.api.convert import (
    job_id,
    job_to_message,
    page_size,
    page_start,
    states_from_message,
    wish_from_message,
)
from layert2v_server.api.interceptor import caller
from layert2v_server.domain.job import Job
from layert2v_server.domain.state import JobState
from layert2v_server.errors import InvalidArgument, JobNotFound
from layert2v_server.service.job_monitor import JobBoard
from layert2v_server.service.submission import Intake
from layert2v_server.store.artifacts import ArtifactStore

Context: TypeAlias = grpc.aio.ServicerContext


class JobService(jobs_pb2_grpc.JobServiceServicer):
    """Jobs of the caller; `tell_paths` allows to say where their stacks lie."""

    def __init__(
        self, board: JobBoard, intake: Intake, artifacts: ArtifactStore, *, tell_paths: bool
    ) -> None:
        self._board = board
        self._store = board.store
        self._intake = intake
        self._artifacts = artifacts
        self._tell_paths = tell_paths

    async def CreateJob(self, request: jobs_pb2.CreateJobRequest, context: Context) -> jobs_pb2.Job:
        try:
            request_id = str(uuid.UUID(request.request_id))
        except ValueError:
            raise InvalidArgument("The request id must be a UUID.") from None
        wish = wish_from_message(request)
        return self._message(await self._intake.submit(caller(), request_id, wish))

    async def GetJob(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.Job:
        return self._message(await self._own(request.name))

    async def ListJobs(
        self, request: jobs_pb2.ListJobsRequest, context: Context
    ) -> jobs_pb2.ListJobsResponse:
        found, following = await self._board.ask(
            self._store.list_page,
            caller(),
            size=page_size(request.page_size, default=50, most=500),
            before=page_start(request.page_token),
            states=states_from_message(request),
        )
        return jobs_pb2.ListJobsResponse(
            jobs=[self._message(job) for job in found],
            next_page_token="" if following is None else str(following),
        )

    async def CancelJob(self, request: jobs_pb2.CancelJobRequest, context: Context) -> jobs_pb2.Job:
        job = await self._own(request.name)
        job = await self._board.change(self._store.cancel, job.id)
        if job.is_terminal:  # otherwise its worker is still at it
            await self._board.ask(self._artifacts.release_sources, [job.id])
        return self._message(job)

    async def DeleteJob(
        self, request: jobs_pb2.DeleteJobRequest, context: Context
    ) -> jobs_pb2.DeleteJobResponse:
        job = await self._own(request.name)
        await self._board.change(self._store.delete, job.id)
        await self._board.ask(self._artifacts.delete, job.id)
        return jobs_pb2.DeleteJobResponse()

    async def WatchJob(
        self, request: jobs_pb2.WatchJobRequest, context: Context
    ) -> AsyncGenerator[jobs_pb2.JobUpdate, None]:
        job = await self._own(request.name)
        sent = 0
        snapshots = self._board.watch(job.id, request.from_revision)
        async with contextlib.aclosing(snapshots):
            async for job in snapshots:
                update = jobs_pb2.JobUpdate(job=self._message(job))
                if request.previews and job.preview_revision > sent:
                    sent = job.preview_revision
                    await self._add_preview(update, job)
                yield update

    async def _add_preview(self, update: jobs_pb2.JobUpdate, job: Job) -> None:
        picture = await self._board.ask(self._artifacts.read_preview, job.id)
        if picture is not None:
            preview = jobs_pb2.Preview(media_type="image/png", data=picture)
            update.preview.CopyFrom(preview)

    async def _own(self, name: str) -> Job:
        """The caller's job of that name. Somebody else's does not exist for them."""
        job = await self._board.ask(self._store.get, job_id(name))
        if job.owner != caller():
            raise JobNotFound(name)
        return job

    def _message(self, job: Job) -> jobs_pb2.Job:
        tell = self._tell_paths and job.state is JobState.SUCCEEDED
        return job_to_message(
            job,
            max_attempts=self._store.max_attempts,
            local_path=str(self._artifacts.stack_folder(job.id)) if tell else "",
        )
