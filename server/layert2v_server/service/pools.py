"""Threads for blocking work: a small pool for each kind of work, shared fairly by the callers.

A pool of its own keeps short work (a page of jobs) from waiting for long work (the hash of an
upload); a limit for each caller keeps one from filling a pool alone.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from layert2v_server.service.callers import CallerLimit

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """Threads for one kind of work, of which a caller may occupy only some."""

    def __init__(self, name: str, threads: int, *, per_connection: int, per_user: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limit = CallerLimit(per_connection=per_connection, per_user=per_user)

    async def run(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a thread, and return its result."""
        release = await self._limit.acquire()
        loop = asyncio.get_running_loop()

        def finish(_: Future[T]) -> None:
            # Called in any thread. Not at the end of the call: one that was cancelled leaves its
            # work behind, and that still occupies a thread.
            if not loop.is_closed():
                loop.call_soon_threadsafe(release)

        try:
            work = self._executor.submit(functools.partial(action, *args, **kwargs))
        except BaseException:  # no thread can be started
            release()
            raise
        work.add_done_callback(finish)
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """Take no more work; what runs is left to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class WorkPools:
    """The pools of a server."""

    def __init__(self) -> None:
        self.reads = Pool("reads", 4, per_connection=2, per_user=3)  # short queries
        self.sums = Pool("sums", 2, per_connection=1, per_user=1)  # of all that a user has
        self.writes = Pool("writes", 2, per_connection=1, per_user=1)  # SQLite has one writer
        self.chunks = Pool("chunks", 4, per_connection=2, per_user=3)  # pieces of files
        self.folders = Pool("folders", 2, per_connection=1, per_user=1)  # of jobs, deleted or moved
        # What waits for a bucket, and uses no processor meanwhile.
        self.transfers = Pool("transfers", 16, per_connection=3, per_user=6)
        self.heavy = Pool("heavy", 2, per_connection=1, per_user=1)  # hashes, manifests, staging

    def staging(self, *, is_remote: bool) -> Pool:
        """Return where files of a request are read and put in place, here or in a bucket.

        A bucket may answer after seconds: its threads do nothing else, so that nobody waits for
        them who has no business with it.
        """
        return self.transfers if is_remote else self.heavy

    def removal(self, *, is_remote: bool) -> Pool:
        """Return where files of jobs are deleted, here or in a bucket."""
        return self.transfers if is_remote else self.folders

    def close(self) -> None:
        """Close every pool."""
        for pool in (
            *(self.reads, self.sums, self.writes, self.chunks),
            *(self.transfers, self.folders, self.heavy),
        ):
            pool.close()
