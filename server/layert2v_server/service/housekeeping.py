"""Remove what is older than it is kept, while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from layert2v_server.service.pools import WorkPools
from layert2v_server.store.retention import DataStores, Retention, remove_expired

INTERVAL_S = 3600.0

_log = logging.getLogger(__name__)


class Housekeeping:
    """A loop that removes what has expired, every ``interval_s``; a start does so by itself."""

    def __init__(
        self,
        stores: DataStores,
        pools: WorkPools,
        retention: Retention,
        *,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._pools = pools
        self._retention = retention
        self._interval_s = interval_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the loop; what is being removed is left to its end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                pool = self._pools.removal(is_remote=self._stores.bucket is not None)
                await pool.run(remove_expired, self._stores, self._retention, self._clock())
            except Exception:  # a disk or a database may refuse anything: the next hour tries again
                _log.exception("what is old could not be removed")
