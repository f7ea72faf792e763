"""Run calls of the blocking job store in threads, and wake those who wait for changes of a job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import ParamSpec, TypeVar

from layert2v_server.domain.job import Job
from layert2v_server.errors import ServerStopping
from layert2v_server.store.jobs import JobStore

P = ParamSpec("P")
T = TypeVar("T")


class JobMonitor:
    """The jobs of ``store``, for coroutines of one event loop."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self._version = 0
        self._changed = asyncio.Condition()
        self._closed = False

    async def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function of which no watcher needs to know, and return its result."""
        return await asyncio.to_thread(action, *args, **kwargs)

    async def update(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the store that may change a job, and notify the watchers if it did.

        The method returns a false value where it changed nothing.
        """
        # Shielded: a caller who leaves must not keep others from being notified.
        return await asyncio.shield(self._update(action, *args, **kwargs))

    async def _update(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result = await asyncio.to_thread(action, *args, **kwargs)
        if result:
            async with self._changed:
                self._version += 1
                self._changed.notify_all()
        return result

    @property
    def version(self) -> int:
        """Number of changes so far, for ``wait_for_change``."""
        return self._version

    async def wait_for_change(self, version: int, timeout_s: float | None = None) -> None:
        """Wait until something has changed after ``version``, or for the timeout in seconds.

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
        while True:
            version = self.version
            job = await self.run(self.store.get, job_id)
            if job.revision != revision:
                revision = job.revision
                yield job
            if job.is_terminal:
                return
            await self.wait_for_change(version)

    async def close(self) -> None:
        """End every wait with ``ServerStopping``."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()
