"""Bring what a job needs here, and what it made to where callers read it; and do not give up.

Where results are in a bucket, both may have to wait for it. Meanwhile the job keeps its lease, says
what it waits for, and can be cancelled; what the worker computed stays until it has its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from layert2v.stack import FileRecord
from layert2v_server.domain.job import Job
from layert2v_server.domain.state import JobState
from layert2v_server.errors import BucketFailed, DiskFull, StorageFailed
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.store.artifacts import ArtifactStore, Result
from layert2v_server.store.bucket.index import ObjectsReleased
from layert2v_server.store.rebuild import note_text
from layert2v_server.worker.messages import Finished, decode, encode

CHECK_S = 1.0  # how often a job that waits is looked at: a cancel takes less than 2 s
MIN_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0
PREVIEW_TIMEOUT_S = 1.0
PREVIEW_PAUSE_S = 30.0  # without previews after one that did not get through

T = TypeVar("T")
Persist = Callable[..., Awaitable[Any]]

_log = logging.getLogger(__name__)


class JobStopped(Exception):
    """The job was cancelled while its files waited for their place."""


class Publication:
    """Fetches sources and publishes results; ``persist`` updates the job store in the end."""

    def __init__(
        self, monitor: JobMonitor, artifacts: ArtifactStore, persist: Persist, *, lease_s: float
    ) -> None:
        self._monitor = monitor
        self._store = monitor.store
        self._artifacts = artifacts
        self._persist = persist
        self._lease_s = lease_s
        self._next_preview_s = 0.0

    async def fetch_source(self, job: Job) -> None:
        """Bring the files that a job starts from here."""
        if self._artifacts.is_remote:
            await self._patiently(job, functools.partial(self._artifacts.fetch_source, job.id))

    async def take_outcome(self, job: Job) -> Finished | None:
        """Return the outcome of an earlier attempt whose result waits here for its place."""
        if not self._artifacts.is_remote:
            return None
        text = await self._monitor.pools.folders.run(
            self._artifacts.take_outcome, job.id, job.attempt
        )
        if not text:
            return None
        with contextlib.suppress(ValueError):
            found = decode(text.encode())
            if isinstance(found, Finished) and found.job == job.id:
                _log.info("job=%s attempt=%d takes over a finished result", job.id, job.attempt)
                return found
        return None

    async def publish(self, job: Job, outcome: Finished) -> None:
        """Put a finished result in its place, and end the job with it.

        Raises ``JobStopped``, ``WorkerLost``, ``InvalidTransition``.
        """
        files = [FileRecord(**file) for file in outcome.files]
        result = Result(
            job_id=job.id,
            attempt=job.attempt,
            owner=job.owner,
            files=files,
            untrusted=frozenset(outcome.untrusted),
            note=note_text(job, outcome.untrusted),
        )
        if self._artifacts.is_remote:
            text = encode(outcome).decode()
            await self._on_disk(self._artifacts.keep_outcome, job.id, job.attempt, text)
        while True:
            await self._patiently(job, functools.partial(self._artifacts.store_result, result))
            try:
                await self._persist(
                    self._store.mark_succeeded,
                    job.id,
                    job.attempt,
                    files,
                    untrusted=outcome.untrusted,
                    new_preview=outcome.preview,
                    publish=functools.partial(self._artifacts.publish, job.id, job.attempt),
                )
            except ObjectsReleased:  # what it shared was deleted meanwhile: it is written again
                continue
            break
        if self._artifacts.is_remote:
            await self._on_disk(self._artifacts.end_publication, job.id, job.attempt)

    async def store_preview(self, job_id: str) -> bool:
        """Bring a preview to where every server reads it; return whether that worked.

        Never for long: progress is worth more.
        """
        if not self._artifacts.is_remote:
            return True
        loop = asyncio.get_running_loop()
        if loop.time() < self._next_preview_s:
            return False
        try:
            async with asyncio.timeout(PREVIEW_TIMEOUT_S):
                run = self._monitor.pools.transfers.run
                await run(self._artifacts.store_preview, job_id)
        except (TimeoutError, BucketFailed):
            self._next_preview_s = loop.time() + PREVIEW_PAUSE_S
            return False
        return True

    async def _patiently(self, job: Job, action: Callable[[threading.Event], T]) -> T:
        """Run something that may wait for the bucket until that can be used.

        Raises ``JobStopped`` after a cancel, and what ``action`` raises besides ``BucketFailed``.
        """
        pause_s = MIN_PAUSE_S
        while True:
            try:
                return await self._run_watched(job, action)
            except BucketFailed as error:
                _log.warning("job=%s waits: %s", job.id, error.message)
                await self._tell(job, f"Waiting: {error.message}")
            until = asyncio.get_running_loop().time() + pause_s
            while (rest_s := until - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(min(rest_s, CHECK_S))
                await self._keep(job)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _run_watched(self, job: Job, action: Callable[[threading.Event], T]) -> T:
        """Run ``action`` in a thread; stop it where its job is cancelled or lost."""
        stop = threading.Event()
        work = asyncio.ensure_future(self._monitor.pools.transfers.run(action, stop))
        try:
            while not (await asyncio.wait({work}, timeout=CHECK_S))[0]:
                await self._keep(job)
            return work.result()
        except BaseException:
            stop.set()
            if not work.done():  # nobody asks for its error any more
                work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _keep(self, job: Job) -> None:
        """Renew the lease of a job that waits. Raises ``JobStopped`` and ``InvalidTransition``."""
        with contextlib.suppress(DiskFull, StorageFailed):
            now = await self._monitor.run(self._store.get, job.id)
            if now.state is JobState.CANCELLING and now.attempt == job.attempt:
                raise JobStopped
            await self._monitor.run(self._store.renew_lease, job.id, job.attempt, self._lease_s)

    async def _tell(self, job: Job, message: str) -> None:
        with contextlib.suppress(DiskFull, StorageFailed):
            now = await self._monitor.run(self._store.get, job.id)
            if now.progress.message != message:
                progress = dataclasses.replace(now.progress, message=message)
                await self._monitor.update_running(
                    self._store.record_progress, job.id, job.attempt, progress
                )

    async def _on_disk(self, action: Callable[..., T], *args: Any) -> T:
        return await self._monitor.pools.folders.run(action, *args)
