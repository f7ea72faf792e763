"""Run calls of the blocking job store in threads, and wake those who wait for changes.

A watcher is woken by changes of its own job, and, while that is queued, by changes of the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import ParamSpec, TypeVar

from layert2v_server.domain.job import Job
from layert2v_server.domain.state import JobState
from layert2v_server.errors import DiskFull, ServerStopping
from layert2v_server.service.pools import WorkPools
from layert2v_server.store.jobs import JobStore

_QUEUE = ""  # the topic of the queue; those of jobs are their ids

P = ParamSpec("P")
T = TypeVar("T")


class JobMonitor:
    """The jobs of ``store``, for coroutines of one event loop.

    Where the disk is full, an update calls ``make_room``, and is repeated if that frees anything.
    ``observe`` is called with each job that an update returns.
    """

    def __init__(self, store: JobStore, make_room: Callable[[], bool] = lambda: False) -> None:
        self.store = store
        self.observe: Callable[[Job], None] = lambda _: None
        self._make_room = make_room
        self.pools = WorkPools()
        self._version = 0
        self._changed = asyncio.Condition()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._reads: dict[str, asyncio.Task[Job]] = {}  # since the last change, by job
        self._closed = False

    async def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short blocking read, and return its result."""
        return await self.pools.reads.run(action, *args, **kwargs)

    async def update(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the store that may change jobs or the queue, and wake who waits for that.

        The method returns the jobs that it changed, and a false value where it changed nothing.
        """
        # Shielded: a caller who leaves must not keep others from being woken.
        return await asyncio.shield(self._update(action, *args, **kwargs))

    async def update_running(
        self, action: Callable[P, Job], *args: P.args, **kwargs: P.kwargs
    ) -> Job:
        """Run a method that changes nothing but one running job, and wake that job's watchers."""
        job = await self.pools.writes.run(action, *args, **kwargs)
        self.observe(job)
        self._wake(job.id)
        return job

    async def _update(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = await self.pools.writes.run(action, *args, **kwargs)
        except DiskFull:
            if not self._make_room():
                raise
            result = await self.pools.writes.run(action, *args, **kwargs)
        if result:
            for job in result if isinstance(result, list) else [result]:
                if isinstance(job, Job):
                    self.observe(job)
                    self._wake(job.id)
            await self._wake_queue()
        return result

    async def notice(self, topic: str | None) -> None:
        """Wake who waits for a change that another server has made: of a job, or of the queue.

        ``topic`` is the id of the job, empty for the queue, None where anything may have changed.
        """
        if topic is None:
            for known in list(self._watchers):
                self._wake(known)
        else:
            self._wake(topic)
        if not topic:
            await self._wake_queue()

    async def _wake_queue(self) -> None:
        self._wake(_QUEUE)
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    @property
    def version(self) -> int:
        """Number of changes of the queue so far, for ``wait_for_change``."""
        return self._version

    async def wait_for_change(self, version: int, timeout_s: float | None = None) -> None:
        """Wait until the queue has changed after ``version``, or for the timeout in seconds.

        Raises ``ServerStopping`` once the monitor is closed.
        """
        async with self._changed:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait_for(lambda: self._version != version or self._closed)
            except TimeoutError:
                return
        if self._closed:
            raise ServerStopping

    async def watch(self, job_id: str, revision: int = 0) -> AsyncGenerator[Job, None]:
        """Yield the newest snapshot of a job whenever it differs from ``revision``, to its end.

        Raises ``JobNotFound`` and ``ServerStopping``.
        """
        changed, seen = asyncio.Event(), None
        with self._listening(job_id, changed), contextlib.ExitStack() as queue:
            queue.enter_context(self._listening(_QUEUE, changed))
            while not self._closed:
                changed.clear()
                job = await self._read_shared(job_id)
                if job.state is not JobState.QUEUED:
                    queue.close()
                if job.revision != revision and (seen is None or _differ(seen, job)):
                    seen, revision = job, job.revision
                    yield job
                if job.is_terminal:
                    return
                await changed.wait()
        raise ServerStopping

    async def _read_shared(self, job_id: str) -> Job:
        """Return the present snapshot of a job: one query for all its watchers after a change."""
        read = self._reads.get(job_id)
        if read is None or (read.done() and (read.cancelled() or read.exception() is not None)):
            # In a context of its own: it is nobody's call, so that nobody's limit holds it up.
            work = self.run(self.store.get, job_id)
            read = asyncio.create_task(work, context=contextvars.Context())
            self._reads[job_id] = read
        return await asyncio.shield(read)

    async def close(self) -> None:
        """End every wait with ``ServerStopping``."""
        self._closed = True
        for topic in list(self._watchers):
            self._wake(topic)
        async with self._changed:
            self._changed.notify_all()

    @contextlib.contextmanager
    def _listening(self, topic: str, changed: asyncio.Event) -> Iterator[None]:
        """Set the event at every change of a topic until the block ends."""
        self._watchers.setdefault(topic, set()).add(changed)
        try:
            yield
        finally:
            events = self._watchers.get(topic, set())
            events.discard(changed)
            if not events:
                self._watchers.pop(topic, None)
                self._reads.pop(topic, None)

    def _wake(self, topic: str) -> None:
        if topic == _QUEUE:
            self._reads.clear()
        self._reads.pop(topic, None)
        for changed in self._watchers.get(topic, ()):
            changed.set()


def _differ(before: Job, now: Job) -> bool:
    """Tell if a person would see a difference: not every change of the queue moves every job."""
    place, place_before = (
        (job.state, job.queue_position, None if job.start_eta_s is None else round(job.start_eta_s))
        for job in (now, before)
    )
    return now.state is not JobState.QUEUED or place != place_before
