"""JobService: create, list, watch, cancel and delete jobs."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import TypeAlias

import grpc

from layert2v.v1 import jobs_pb2, jobs_pb2_grpc
from layert2v_server.api.convert import (
    clamp_page_size,
    job_to_message,
    parse_job_name,
    parse_page_token,
    priority_from_message,
    request_from_message,
    states_from_message,
)
from layert2v_server.api.interceptor import current_principal, current_user
from layert2v_server.auth import Role
from layert2v_server.domain.job import Job
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.state import JobState
from layert2v_server.errors import InvalidArgument, JobBusy, JobNotFound, PriorityRefused
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.submission import JobSubmission
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.reserve import DiskReserve

MAX_PAGE_BYTES = 1 << 20  # a quarter of what a message may have

Context: TypeAlias = grpc.aio.ServicerContext


class JobService(jobs_pb2_grpc.JobServiceServicer):
    """Jobs of the caller; with ``expose_local_paths`` a job names the folder of its stack."""

    def __init__(
        self,
        monitor: JobMonitor,
        submission: JobSubmission,
        artifacts: ArtifactStore,
        reserve: DiskReserve,
        *,
        expose_local_paths: bool,
    ) -> None:
        self._monitor = monitor
        self._store = monitor.store
        self._submission = submission
        self._artifacts = artifacts
        self._reserve = reserve
        self._expose_local_paths = expose_local_paths
        self._removal = monitor.pools.removal(is_remote=artifacts.is_remote)

    async def CreateJob(self, request: jobs_pb2.CreateJobRequest, context: Context) -> jobs_pb2.Job:
        try:
            request_id = str(uuid.UUID(request.request_id))
        except ValueError:
            raise InvalidArgument("The request id must be a UUID.") from None
        priority = priority_from_message(request)
        if priority is Priority.URGENT and not current_principal().may_be_urgent:
            raise PriorityRefused
        job = await self._submission.submit(
            current_user(), request_id, request_from_message(request), priority
        )
        return self._to_message(job)

    async def GetJob(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.Job:
        return self._to_message(await self._get_own_job(request.name))

    async def ListJobs(
        self, request: jobs_pb2.ListJobsRequest, context: Context
    ) -> jobs_pb2.ListJobsResponse:
        size = clamp_page_size(request.page_size, default=50, maximum=500)
        found = await self._monitor.run(
            self._store.list_page,
            None if current_principal().role is Role.ADMIN else current_user(),
            size=size + 1,
            before=parse_page_token(request.page_token),
            states=states_from_message(request),
            quarantined_only=request.quarantined,
        )
        page = jobs_pb2.ListJobsResponse()
        weight = 0
        for before, job in found[:size]:
            message = self._to_message(job)
            weight += message.ByteSize()
            if page.jobs and weight > MAX_PAGE_BYTES:
                return page  # with the token of the job before this one
            page.jobs.append(message)
            page.next_page_token = str(before)
        if len(found) <= size:
            page.next_page_token = ""
        return page

    async def CancelJob(self, request: jobs_pb2.CancelJobRequest, context: Context) -> jobs_pb2.Job:
        job = await self._get_own_job(request.name)
        job = await self._monitor.update(self._store.cancel, job.id)
        if not job.can_run_again:  # otherwise its worker is still running
            await self._removal.run(self._artifacts.release_sources, [job.id])
        return self._to_message(job)

    async def DeleteJob(
        self, request: jobs_pb2.DeleteJobRequest, context: Context
    ) -> jobs_pb2.DeleteJobResponse:
        job = await self._get_own_job(request.name)
        if not job.is_terminal:
            raise JobBusy(request.name)
        # Shielded: a caller who leaves in the middle must not leave the folder renamed.
        await asyncio.shield(self._delete(job.id))
        return jobs_pb2.DeleteJobResponse()

    async def _delete(self, job_id: str) -> None:
        on_disk = self._removal.run
        is_renamed = await on_disk(self._artifacts.begin_deletion, job_id)
        try:
            await self._monitor.update(self._store.delete, job_id)
        except JobNotFound:  # another call has deleted it meanwhile
            await on_disk(self._artifacts.end_deletion, job_id)
            raise
        except BaseException:
            if is_renamed:
                await on_disk(self._artifacts.undo_deletion, job_id)
            raise
        await on_disk(self._artifacts.end_deletion, job_id)
        await on_disk(self._reserve.fill)

    async def WatchJob(
        self, request: jobs_pb2.WatchJobRequest, context: Context
    ) -> AsyncGenerator[jobs_pb2.JobUpdate, None]:
        job = await self._get_own_job(request.name)
        sent_preview = 0
        snapshots = self._monitor.watch(job.id, request.from_revision)
        async with contextlib.aclosing(snapshots):
            async for job in snapshots:
                update = jobs_pb2.JobUpdate(job=self._to_message(job))
                if request.previews and job.preview_revision > sent_preview:
                    sent_preview = job.preview_revision
                    await self._add_preview(update, job)
                yield update

    async def _add_preview(self, update: jobs_pb2.JobUpdate, job: Job) -> None:
        image = await self._monitor.pools.transfers.run(self._artifacts.read_preview, job.id)
        if image is not None:
            preview = jobs_pb2.Preview(media_type="image/png", data=image)
            update.preview.CopyFrom(preview)

    async def _get_own_job(self, name: str) -> Job:
        """Return the caller's job of that name. Raises ``JobNotFound``, also for another user's."""
        job = await self._monitor.run(self._store.get, parse_job_name(name))
        if not current_principal().may_use(job.owner):
            raise JobNotFound(name)
        return job

    def _to_message(self, job: Job) -> jobs_pb2.Job:
        expose = self._expose_local_paths and job.state is JobState.SUCCEEDED
        return job_to_message(
            job,
            max_attempts=self._store.max_attempts,
            local_path=self._artifacts.local_path(job.id) if expose else "",
        )
