"""The board: through it the running server changes jobs, on it everybody sees that they changed.

The store is blocking and knows no listeners; the board runs it in threads and wakes those who wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import ParamSpec, TypeVar

from layert2v_server.domain.job import Job
from layert2v_server.errors import Stopping
from layert2v_server.store.jobs import JobStore

P = ParamSpec("P")
T = TypeVar("T")


class JobBoard:
    """The jobs of `store`, for coroutines of one event loop."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self._changes = 0
        self._changed = asyncio.Condition()
        self._closed = False

    async def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the store that changes nothing."""
        return await asyncio.to_thread(question, *args, **kwargs)

    async def change(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the store that may change something, and tell everybody if it did."""
        # Shielded: a caller who leaves must not take the news of a change along.
        return await asyncio.shield(self._change(action, *args, **kwargs))

    async def _change(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result = await asyncio.to_thread(action, *args, **kwargs)
        if result:
            async with self._changed:
                self._changes += 1
                self._changed.notify_all()
        return result

    def seen(self) -> int:
        """A mark of the present moment for `news`."""
        return self._changes

    async def news(self, since: int, timeout_s: float | None = None) -> None:
        """Wait until something changed after the mark `since`, or for the timeout.

        Raises `Stopping` once the board is closed.
        """
        async with self._changed:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait_for(lambda: self._changes != since or self._closed)
            except TimeoutError:
                return
        if self._closed:
            raise Stopping

    async def watch(self, job_id: str, revision: int = 0) -> AsyncGenerator[Job, None]:
        """Snapshots of a job that differ from `revision`, newest only, to its end.

        Raises `JobNotFound` and `Stopping`.
        """
        while True:
            mark = self.seen()
            job = await self.ask(self.store.get, job_id)
            if job.revision != revision:
                revision = job.revision
                yield job
            if job.is_terminal:
                return
            await self.news(mark)

    async def close(self) -> None:
        """End every wait with `Stopping`."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()
