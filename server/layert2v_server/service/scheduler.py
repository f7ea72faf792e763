"""From the queue to the executors: claims, leases, retries, endings. One loop for each executor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from layert2v.spec import model_from_json
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.request import Kind, kind_of, spec_to_plain
from layert2v_server.domain.state import JobState
from layert2v_server.errors import (
    DiskFull,
    EngineNotReady,
    FilesMissing,
    InvalidTransition,
    JobNotFound,
    ServerError,
    SourceNotFound,
    Stopping,
    WorkerLost,
)
from layert2v_server.executors.base import Executor
from layert2v_server.service.job_monitor import JobBoard
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.worker.messages import (
    Failed,
    Finished,
    Heartbeat,
    Outcome,
    ProgressReport,
    RunJob,
)

IDLE_CHECK_S = 1.0
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Scheduler:
    """Keeps every executor busy while there are jobs; `lease_s` is how long silence is trusted."""

    def __init__(
        self,
        board: JobBoard,
        artifacts: ArtifactStore,
        executors: Sequence[Executor],
        *,
        lease_s: float,
    ) -> None:
        self._board = board
        self._store = board.store
        self._artifacts = artifacts
        self._executors = executors
        self._lease_s = lease_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work."""
        loops = [self._serve(executor) for executor in self._executors]
        self._tasks = [asyncio.create_task(loop) for loop in (*loops, self._reap())]

    async def broken(self) -> None:
        """Wait for what must not happen: one of the loops ends. Raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def close(self) -> None:
        """Stop working: running jobs return to the queue, workers end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(executor.close() for executor in self._executors))

    async def _serve(self, executor: Executor) -> None:
        retry_s = FIRST_RETRY_S
        told = None
        while True:
            mark = self._board.seen()
            try:
                ready = await executor.ensure_ready()
            except (EngineNotReady, WorkerLost) as error:
                _log.error("executor=%s not ready: %s", executor.name, error.message)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            if ready is not told:
                models = [model_from_json(model) for model in ready.models]
                await self._persist(self._store.save_models, models)
                told = ready
            job = await self._persist(self._store.claim, executor.name, self._lease_s)
            if job is not None:
                await self._work(executor, job)
            else:
                await self._board.news(mark, timeout_s=IDLE_CHECK_S)

    async def _reap(self) -> None:
        """Take jobs back from workers that have not shown life for a whole lease."""
        failure = Failure(reason=WorkerLost.reason, message="The worker of this job fell silent.")
        while True:
            for job in await self._persist(self._store.requeue_expired, failure):
                _log.warning("job=%s attempt=%d lease expired", job.id, job.attempt)
            await asyncio.sleep(self._lease_s / 2)

    async def _work(self, executor: Executor, job: Job) -> None:
        """Run one attempt of a job to its end in the store."""
        _log.info("job=%s attempt=%d executor=%s", job.id, job.attempt, executor.name)
        try:
            await self._attempt(executor, job)
        except asyncio.CancelledError:
            await self._clear(job)
            # Where this cannot be written, the next start of the server takes the job back.
            with contextlib.suppress(DiskFull, InvalidTransition, JobNotFound):
                await self._board.change(self._store.requeue, job.id, job.attempt)
            raise
        except WorkerLost as error:
            _log.warning("job=%s attempt=%d lost: %s", job.id, job.attempt, error.message)
            await self._clear(job)
            await self._settle(self._store.mark_lost, job.id, job.attempt, _crash(error))
        except (DiskFull, FilesMissing, SourceNotFound) as error:
            await self._clear(job)
            await self._settle(self._store.mark_failed, job.id, job.attempt, _failure(error))
        except (InvalidTransition, JobNotFound):
            _log.warning("job=%s attempt=%d is not ours any more", job.id, job.attempt)
        await self._release(job.id)

    async def _attempt(self, executor: Executor, job: Job) -> None:
        await asyncio.to_thread(self._artifacts.prepare_attempt, job.id)
        if kind_of(job.spec) is Kind.RERENDER:
            await asyncio.to_thread(self._artifacts.copy_source, job.id, job.attempt)
        ending = await self._follow(executor, job)
        if isinstance(ending, Finished):
            files = [FileRecord(**file) for file in ending.files]
            await asyncio.to_thread(self._artifacts.publish, job.id, job.attempt, files)
            await self._board.change(
                self._store.mark_succeeded, job.id, job.attempt, files, new_preview=ending.preview
            )
        elif isinstance(ending, Failed):
            await self._clear(job)
            failure = Failure(reason=ending.reason, message=ending.message, hint=ending.hint)
            await self._settle(self._store.mark_failed, job.id, job.attempt, failure)
        else:
            await self._clear(job)
            await self._settle(self._store.mark_stopped, job.id, job.attempt)
        _log.info("job=%s attempt=%d ending=%s", job.id, job.attempt, type(ending).__name__)

    async def _follow(self, executor: Executor, job: Job) -> Outcome:
        """Keep the job's record and lease up to date while it runs."""
        run = RunJob(
            job=job.id,
            job_kind=kind_of(job.spec),
            spec=spec_to_plain(job.spec),
            folder=str(self._artifacts.attempt_folder(job.id, job.attempt)),
            source=str(self._artifacts.source_folder(job.id)),
            preview=str(self._artifacts.preview_path(job.id)),
        )
        canceller = asyncio.create_task(self._pass_on_cancel(executor, job.id))
        renewed = time.monotonic()
        try:
            async with contextlib.aclosing(executor.run(run)) as reports:
                async for report in reports:
                    if not isinstance(report, Heartbeat | ProgressReport):
                        return report
                    # A full disk is the worker's to notice; an unwritten progress is no loss.
                    with contextlib.suppress(DiskFull):
                        if isinstance(report, ProgressReport):
                            await self._record(job, report)
                        if time.monotonic() >= renewed + self._lease_s / 3:
                            renewed = time.monotonic()
                            await self._board.ask(
                                self._store.renew_lease, job.id, job.attempt, self._lease_s
                            )
        finally:
            canceller.cancel()
        raise WorkerLost("The worker ended its job without a result.")

    async def _record(self, job: Job, report: ProgressReport) -> None:
        progress = Progress(
            stage=report.stage,
            done=report.done,
            total=report.total,
            message=report.message,
            fraction=report.fraction,
            eta_s=report.eta_s,
        )
        await self._board.change(
            self._store.record_progress, job.id, job.attempt, progress, new_preview=report.preview
        )

    async def _pass_on_cancel(self, executor: Executor, job_id: str) -> None:
        with contextlib.suppress(Stopping):
            async for job in self._board.watch(job_id):
                if job.state is JobState.CANCELLING:
                    executor.cancel(job_id)
                    return

    async def _release(self, job_id: str) -> None:
        """Give up what a job started from, once it will not start again."""
        with contextlib.suppress(JobNotFound):
            if (await self._board.ask(self._store.get, job_id)).is_terminal:
                await asyncio.to_thread(self._artifacts.release_sources, [job_id])

    async def _clear(self, job: Job) -> None:
        await asyncio.to_thread(self._artifacts.clear_attempts, job.id)

    async def _settle(self, action: Callable[P, Job], *args: P.args, **kwargs: P.kwargs) -> None:
        """Write an ending; what the store does not know any more needs none."""
        with contextlib.suppress(InvalidTransition, JobNotFound):
            await self._persist(action, *args, **kwargs)

    async def _persist(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Change the store, waiting for room where its disk is full."""
        while True:
            try:
                return await self._board.change(action, *args, **kwargs)
            except DiskFull:
                _log.error("the disk of the job store is full; waiting for room")
                await asyncio.sleep(IDLE_CHECK_S)


def _failure(error: ServerError) -> Failure:
    return Failure(reason=error.reason, message=error.message, hint=error.hint)


def _crash(error: WorkerLost) -> Failure:
    return Failure(
        reason=error.reason,
        message=f"{error.message} This job was tried as often as is allowed.",
        hint="The server's log has the details; a smaller request may pass.",
    )
