"""Run queued jobs on executors: claims, leases, retries, outcomes. One loop for each executor."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

from layert2v.spec import model_from_json
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.request import job_kind, job_spec_to_json
from layert2v_server.domain.state import JobState
from layert2v_server.errors import (
    DiskFull,
    FilesMissing,
    InvalidArgument,
    InvalidTransition,
    JobNotFound,
    ObjectMissing,
    QuotaExceeded,
    ServerError,
    ServerStopping,
    SourceNotFound,
    StorageFailed,
    WorkerDied,
    WorkerLost,
)
from layert2v_server.executors.base import Executor
from layert2v_server.logs import log_request
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.publication import JobStopped, Publication
from layert2v_server.service.quota import DiskQuota
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.tracing import NoTracer, Tracer
from layert2v_server.worker.messages import (
    Failed,
    Finished,
    Heartbeat,
    Outcome,
    ProgressReport,
    Ready,
    RunJob,
)

POLL_INTERVAL_S = 1.0
MIN_RETRY_S, MAX_RETRY_S = 0.5, 30.0
LOG_HINT = "The server's log has the details"
QUARANTINED = "QUARANTINED"  # the reason of such a failure
MAX_IDLE_STARTS = 2  # of workers in a row without a pause: one may be ended by somebody

# What another attempt would meet, too.
_FINAL = (DiskFull, QuotaExceeded, FilesMissing, SourceNotFound, ObjectMissing)

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Scheduler:
    """Runs jobs on ``executors``; a worker that is silent for ``lease_s`` seconds loses its job."""

    def __init__(
        self,
        monitor: JobMonitor,
        artifacts: ArtifactStore,
        executors: Sequence[Executor],
        quota: DiskQuota,
        *,
        lease_s: float,
    ) -> None:
        self.monitor = monitor
        self._store = monitor.store
        self._artifacts = artifacts
        self._executors = executors
        self._quota = quota
        self.lease_s = lease_s
        self.publication = Publication(monitor, artifacts, self._persist, lease_s=lease_s)
        self.tracer: Tracer = NoTracer()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the loops of the executors and of the leases."""
        loops = [
            self._repeat(f"executor={executor.name}", _ExecutorLoop(self, executor).step)
            for executor in self._executors
        ]
        loops.append(self._repeat("leases", self._expire_leases))
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def close(self) -> None:
        """Return running jobs to the queue and stop the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(executor.close() for executor in self._executors))

    async def _repeat(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """Run ``step`` again and again; log whatever it raises, and go on after a pause.

        Nothing may end a loop of the scheduler: a step may meet a disk, a database or a system
        that refuses anything.
        """
        retry_s = MIN_RETRY_S
        while True:
            try:
                await step()
                retry_s = MIN_RETRY_S
            except Exception as error:
                _log_error(name, error)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, MAX_RETRY_S)

    async def _expire_leases(self) -> None:
        """Requeue jobs whose workers have sent nothing for a whole lease."""
        failure = Failure(reason=WorkerLost.reason, message="The worker of this job fell silent.")
        for job in await self.monitor.update(self._store.requeue_expired, failure, self.lease_s):
            _log.warning("job=%s attempt=%d lease expired", job.id, job.attempt)
            if job.is_terminal:  # cancelled, or lost too often: no other attempt tidies up
                with contextlib.suppress(ServerError):
                    await self._on_disk(self._artifacts.clear_attempts, job.id)
                    await self._release_files(job.id)
        await asyncio.sleep(self.lease_s / 2)

    async def run_job(self, executor: Executor, job: Job) -> None:
        """Run one attempt of a job, and store its outcome or error.

        This is the one place that turns what an attempt raises into a failed attempt.
        """
        names = {"job": job.id, "kind": str(job_kind(job.spec)), "request": job.request_id}
        attributes = {f"layert2v__{name}": value for name, value in names.items()}
        with log_request(job.request_id), self.tracer.span("job", **attributes):
            _log.info("job=%s attempt=%d executor=%s", job.id, job.attempt, executor.name)
            await self._run_job(executor, job)

    async def _run_job(self, executor: Executor, job: Job) -> None:
        try:
            await self._run_attempt(executor, job)
        except asyncio.CancelledError:
            # Whatever fails here: another error would let the loop of the executor go on.
            with contextlib.suppress(Exception):
                await self._on_disk(self._artifacts.suspend_attempt, job.id, job.attempt)
            # Where this cannot be written, the next start of the server requeues the job.
            with contextlib.suppress(Exception):
                await self.monitor.update(self._store.requeue, job.id, job.attempt)
            raise
        except JobStopped:
            await self._delete_attempt(job)
            await self._store_outcome(self._store.mark_stopped, job.id, job.attempt)
        except (InvalidTransition, JobNotFound):
            _log.warning("job=%s attempt=%d belongs to another attempt", job.id, job.attempt)
            with contextlib.suppress(ServerError):
                await self._on_disk(self._artifacts.discard_attempt, job.id, job.attempt)
        except Exception as error:
            _log_error(f"job={job.id} attempt={job.attempt}", error)
            await self._delete_attempt(job)
            await self._store_error(job, error)
        await self._release_source(job.id)

    async def _store_error(self, job: Job, error: Exception) -> None:
        failure = name_request(failure_of(error), job.request_id)
        if isinstance(error, WorkerDied):
            deaths = self._store.max_worker_deaths
            quarantined = name_request(quarantine_failure(job, error, deaths), job.request_id)
            await self._store_outcome(
                self._store.record_death, job.id, job.attempt, failure, quarantined
            )
            return
        is_final = isinstance(error, _FINAL)
        record = self._store.mark_failed if is_final else self._store.mark_lost
        await self._store_outcome(record, job.id, job.attempt, failure)

    async def _run_attempt(self, executor: Executor, job: Job) -> None:
        await self._on_disk(self._quota.require, job.owner)
        await self._on_disk(self._artifacts.prepare_attempt, job.id, job.attempt)
        outcome: Outcome | None = await self.publication.take_outcome(job)
        if outcome is None:
            await self.publication.fetch_source(job)
            if job_kind(job.spec).changes_stack:
                await self._on_disk(self._artifacts.copy_source, job.id, job.attempt)
            outcome = await self._follow(executor, job)
        if isinstance(outcome, Finished):
            await self.publication.publish(job, outcome)
        elif isinstance(outcome, Failed):
            await self._delete_attempt(job)
            failure = Failure(reason=outcome.reason, message=outcome.message, hint=outcome.hint)
            failure = name_request(failure, job.request_id)
            await self._store_outcome(self._store.mark_failed, job.id, job.attempt, failure)
        else:
            await self._delete_attempt(job)
            await self._store_outcome(self._store.mark_stopped, job.id, job.attempt)
        _log.info("job=%s attempt=%d outcome=%s", job.id, job.attempt, type(outcome).__name__)

    async def _follow(self, executor: Executor, job: Job) -> Outcome:
        """Run the job and return its outcome, with progress and lease kept up to date."""
        command = RunJob(
            job=job.id,
            job_kind=job_kind(job.spec),
            spec=job_spec_to_json(job.spec),
            folder=str(self._artifacts.attempt_folder(job.id, job.attempt)),
            source=str(self._artifacts.source_folder(job.id)),
            preview=str(self._artifacts.preview_path(job.id)),
            request=job.request_id,
        )
        canceller = asyncio.create_task(self._forward_cancel(executor, job.id))
        renewed = time.monotonic()
        try:
            async with contextlib.aclosing(executor.run(command)) as reports:
                async for report in reports:
                    if not isinstance(report, Heartbeat | ProgressReport):
                        return report
                    # The worker notices a full disk itself; unrecorded progress is no loss.
                    with contextlib.suppress(DiskFull, StorageFailed, InvalidArgument):
                        if isinstance(report, ProgressReport):
                            await self._record_progress(job, report)
                        if time.monotonic() >= renewed + self.lease_s / 3:
                            await self.monitor.run(
                                self._store.renew_lease, job.id, job.attempt, self.lease_s
                            )
                            renewed = time.monotonic()  # one that failed is tried again at once
        finally:
            canceller.cancel()
        raise WorkerLost("The worker ended its job without a result.")

    async def _record_progress(self, job: Job, report: ProgressReport) -> None:
        progress = Progress(
            stage=report.stage,
            done=report.done,
            total=report.total,
            message=report.message,
            fraction=report.fraction,
            eta_s=report.eta_s,
        )
        has_preview = report.preview and await self.publication.store_preview(job.id)
        await self.monitor.update_running(
            self._store.record_progress, job.id, job.attempt, progress, new_preview=has_preview
        )

    async def _forward_cancel(self, executor: Executor, job_id: str) -> None:
        with contextlib.suppress(ServerStopping):
            async for job in self.monitor.watch(job_id):
                if job.state is JobState.CANCELLING:
                    executor.cancel(job_id)
                    return

    async def _release_source(self, job_id: str) -> None:
        """Delete the source of a job that will not start again."""
        with contextlib.suppress(ServerError):
            if not (await self.monitor.run(self._store.get, job_id)).can_run_again:
                await self._release_files(job_id)

    async def _release_files(self, job_id: str) -> None:
        removal = self.monitor.pools.removal(is_remote=self._artifacts.is_remote)
        await removal.run(self._artifacts.release_sources, [job_id])

    async def _delete_attempt(self, job: Job) -> None:
        try:
            await self._on_disk(self._artifacts.clear_attempt, job.id, job.attempt)
        except Exception as error:  # what stays is deleted by the next attempt or start
            _log_error(f"job={job.id} attempt={job.attempt} deleting", error)

    async def _on_disk(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.monitor.pools.folders.run(action, *args, **kwargs)

    async def _store_outcome(
        self, action: Callable[P, Job], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Store an outcome, unless the job is deleted or belongs to another attempt."""
        with contextlib.suppress(InvalidTransition, JobNotFound):
            await self._persist(action, *args, **kwargs)

    async def _persist(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Update the store, and wait until its disk has space and its database is not locked."""
        while True:
            try:
                return await self.monitor.update(action, *args, **kwargs)
            except DiskFull:
                _log.error("the disk of the job store is full; waiting for free space")
            except StorageFailed as error:
                _log.error("the job store cannot be written; trying again: %s", error.message)
            await asyncio.sleep(POLL_INTERVAL_S)


class _ExecutorLoop:
    """The loop of one executor: make sure that it is ready, then run a job or wait for one."""

    def __init__(self, scheduler: Scheduler, executor: Executor) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._known: Ready | None = None
        self._idle_starts = 0  # of workers since the last job

    async def _pause_between_starts(self) -> bool:
        """Wait longer each time where workers end, one after the other, before they had a job.

        A new job ends the pause. Return whether there was one.
        """
        self._idle_starts += 1
        if self._idle_starts <= MAX_IDLE_STARTS:
            return False
        _log.warning("executor=%s workers end without a job", self._executor.name)
        pause_s = min(MIN_RETRY_S * 2 ** min(self._idle_starts, 10), MAX_RETRY_S)
        monitor = self._scheduler.monitor
        await monitor.wait_for_change(monitor.version, pause_s)
        return True

    async def step(self) -> None:
        monitor, store = self._scheduler.monitor, self._scheduler.monitor.store
        version = monitor.version
        worker_info = await self._executor.ensure_ready()
        if worker_info is not self._known:
            models = [model_from_json(model) for model in worker_info.models]
            await monitor.update(store.save_models, models)
            self._known = worker_info
            if await self._pause_between_starts():
                return  # the worker may be gone again
        job = await monitor.update(store.claim, self._executor.name, self._scheduler.lease_s)
        if job is not None:
            self._idle_starts = 0
            await self._scheduler.run_job(self._executor, job)
        else:
            await monitor.wait_for_change(version, timeout_s=POLL_INTERVAL_S)


def failure_of(error: Exception) -> Failure:
    """Return what the caller learns of an error that ended an attempt."""
    if isinstance(error, WorkerLost):
        return Failure(
            reason=error.reason,
            message=f"{error.message} This job was tried as often as is allowed.",
            hint="The server's log has the details; a smaller request may pass.",
        )
    if isinstance(error, ServerError):
        return Failure(reason=error.reason, message=error.message, hint=error.hint)
    what = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return Failure(
        reason=ServerError.reason,
        message=f"The server could not carry out this job{what}.",
        hint="The server's log has the details.",
    )


def quarantine_failure(job: Job, error: WorkerDied, deaths: int) -> Failure:
    """Return what the caller learns of a job of which so many workers died."""
    times = "its worker died" if deaths == 1 else f"{deaths} workers died with it"
    which = "it" if deaths == 1 else "the last one"
    return Failure(
        reason=QUARANTINED,
        message=f"This job is in quarantine: {times}; {which} {error.what}.",
        hint=f"{LOG_HINT}. Whoever runs the server sends it again, when the cause is gone, with: "
        f"layert2v-server quarantine release {job.id}",
    )


def name_request(failure: Failure, request: str) -> Failure:
    """Name the request in a hint that sends somebody to the log."""
    if not request or LOG_HINT not in failure.hint:
        return failure
    hint = failure.hint.replace(LOG_HINT, f"{LOG_HINT}, under request {request}")
    return dataclasses.replace(failure, hint=hint)


def _log_error(what: str, error: Exception) -> None:
    """Log an error; with a traceback only where nothing explains it."""
    if isinstance(error, ServerError):
        _log.error("%s failed: %s", what, error.message)
    else:
        _log.error("%s failed unexpectedly", what, exc_info=error)
