"""The chunks of one upload on their way from the event loop to its file."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable

from layert2v.chunk_codec import FileChunk
from layert2v_server.service.pools import Pool

MAX_WAITING = 3  # chunks, beside the one that is stored and the one that arrives
CHUNKS_PER_TURN = 8  # of a thread, before it is somebody else's turn: 10 ms
PATIENCE_S = 0.004  # of a turn, in all: how long its thread waits for chunks that are on their way


class ChunkSink:
    """Calls ``store`` with each chunk that is ``put``, in order, in threads of a pool.

    A thread goes on for as long as chunks wait, and a little longer: handing each over by itself
    took a quarter of the time of the event loop, and another thread each time has the file in
    another core's cache. All methods are called by the loop.
    """

    def __init__(self, pool: Pool, store: Callable[[FileChunk], object]) -> None:
        self._pool, self._store = pool, store
        self._waiting: queue.SimpleQueue[FileChunk | None] = queue.SimpleQueue()  # None ends a turn
        self._turn: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._has_room = asyncio.Event()
        self._wants_room = False
        self._error: BaseException | None = None
        self._on_idle: Callable[[], None] | None = None

    async def put(self, chunk: FileChunk) -> None:
        """Hand over a chunk, and wait where too many are waiting.

        Raises what ``store`` raised, of this or an earlier one.
        """
        self._waiting.put(chunk)
        self._start_turn()
        await self._wait_until_left(MAX_WAITING)

    async def drain(self) -> None:
        """Wait until every chunk is stored. Raises what ``store`` raised."""
        if self._turn is not None:
            self._waiting.put(None)
        while self._turn is not None and self._error is None:
            await asyncio.wait([self._turn])
        self._raise()

    def stop(self, on_idle: Callable[[], None]) -> None:
        """Drop what is still waiting; call ``on_idle`` once no thread works on this any more."""
        while not self._waiting.empty():
            self._next(0)
        self._waiting.put(None)
        self._on_idle = on_idle
        if self._turn is None:
            on_idle()

    async def _wait_until_left(self, count: int) -> None:
        while self._waiting.qsize() > count and self._error is None:
            self._has_room.clear()
            self._wants_room = True  # seen by the thread after the chunk that it is at
            if self._waiting.qsize() > count:
                await self._has_room.wait()
        self._raise()

    def _start_turn(self) -> None:
        if self._turn is None and self._error is None:
            self._turn = asyncio.create_task(self._pool.run(self._store_waiting))
            self._turn.add_done_callback(self._end_turn)

    def _store_waiting(self) -> None:
        """Store chunks, in a thread, until none waits or somebody else may have it."""
        patience_s = PATIENCE_S
        for _ in range(CHUNKS_PER_TURN):
            began = time.monotonic()
            chunk = self._next(patience_s)
            if chunk is None:
                return
            patience_s = max(0.0, patience_s - (time.monotonic() - began))
            self._store(chunk)
            if self._wants_room:
                self._wants_room = False
                self._loop.call_soon_threadsafe(self._has_room.set)

    def _next(self, patience_s: float) -> FileChunk | None:
        """Return the next chunk, None where none comes in time or the turn is to end."""
        try:
            return self._waiting.get(timeout=patience_s)
        except queue.Empty:
            return None

    def _end_turn(self, turn: asyncio.Task[None]) -> None:
        self._turn = None
        self._error = asyncio.CancelledError() if turn.cancelled() else turn.exception()
        self._has_room.set()
        if self._error is None and not self._waiting.empty():
            self._start_turn()
        elif self._on_idle is not None:
            self._on_idle()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
