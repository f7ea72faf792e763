"""Chunks on their way to a file: in order, a few at a time, and nothing after an error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from layert2v.chunk_codec import FileChunk
from layert2v_server.api import chunk_sink
from layert2v_server.api.chunk_sink import CHUNKS_PER_TURN, MAX_WAITING, ChunkSink
from layert2v_server.errors import DiskFull
from layert2v_server.service.pools import Pool


def chunk(offset: int) -> FileChunk:
    return FileChunk(offset, memoryview(b"x"), 0)


def run(
    store: Callable[[FileChunk], object], scenario: Callable[[ChunkSink], Awaitable[None]]
) -> None:
    async def serve() -> None:
        pool = Pool("test", 2, per_connection=1, per_user=1)
        try:
            async with asyncio.timeout(20):
                await scenario(ChunkSink(pool, store))
        finally:
            pool.close()

    asyncio.run(serve())


def test_all_are_stored_in_order_by_few_turns() -> None:
    stored: list[int] = []

    async def scenario(sink: ChunkSink) -> None:
        for number in range(5 * CHUNKS_PER_TURN):
            await sink.put(chunk(number))
        await sink.drain()
        assert stored == list(range(5 * CHUNKS_PER_TURN))
        await sink.put(chunk(-1))  # after a pause
        await sink.drain()
        assert stored[-1] == -1

    run(lambda each: stored.append(each.offset), scenario)


def test_few_chunks_wait_for_a_slow_disk() -> None:
    disk, stored = threading.Semaphore(0), []

    def store(each: FileChunk) -> None:
        disk.acquire()
        stored.append(each.offset)

    async def scenario(sink: ChunkSink) -> None:
        async def send() -> None:
            for number in range(20):
                await sink.put(chunk(number))
                sent.append(number)

        sent: list[int] = []
        sending = asyncio.create_task(send())
        await asyncio.sleep(0.1)
        assert len(sent) <= MAX_WAITING + 1
        disk.release(20)
        await sending
        await sink.drain()
        assert stored == list(range(20))

    run(store, scenario)


def test_an_error_ends_it_for_every_later_chunk() -> None:
    stored: list[int] = []

    def store(each: FileChunk) -> None:
        if each.offset == 1:
            raise DiskFull
        stored.append(each.offset)

    async def send(sink: ChunkSink) -> None:
        for number in range(20):
            await sink.put(chunk(number))
        await sink.drain()

    async def scenario(sink: ChunkSink) -> None:
        with pytest.raises(DiskFull):
            await send(sink)
        with pytest.raises(DiskFull):
            await sink.put(chunk(99))
        with pytest.raises(DiskFull):
            await sink.drain()
        assert stored == [0]

    run(store, scenario)


def test_a_stop_waits_for_the_chunk_that_is_written_and_drops_the_others() -> None:
    begun, disk, stored, ended = threading.Event(), threading.Event(), [], asyncio.Event()

    def store(each: FileChunk) -> None:
        begun.set()
        disk.wait(10)
        stored.append(each.offset)

    async def scenario(sink: ChunkSink) -> None:
        for number in range(MAX_WAITING):
            await sink.put(chunk(number))
        await asyncio.to_thread(begun.wait, 10)
        sink.stop(ended.set)
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        disk.set()
        await ended.wait()
        assert stored == [0]

    run(store, scenario)


def test_a_stop_of_an_idle_one_is_at_once() -> None:
    async def scenario(sink: ChunkSink) -> None:
        ended: list[bool] = []
        sink.stop(lambda: ended.append(True))
        assert ended == [True]

    run(lambda each: None, scenario)


def test_a_thread_stays_for_chunks_that_are_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_sink, "PATIENCE_S", 60.0)
    threads: list[int] = []
    stored = threading.Semaphore(0)

    def store(each: FileChunk) -> None:
        threads.append(threading.get_ident())
        stored.release()

    async def scenario(sink: ChunkSink) -> None:
        turns = set()
        for number in range(CHUNKS_PER_TURN - 1):
            await sink.put(chunk(number))
            turns.add(sink._turn)
            await asyncio.to_thread(stored.acquire)
        await sink.drain()  # and does not wait for more
        assert len(turns) == len(set(threads)) == 1

    run(store, scenario)


@pytest.mark.parametrize("count", range(2 * CHUNKS_PER_TURN - 1, 2 * CHUNKS_PER_TURN + 2))
def test_it_comes_to_an_end_wherever_a_turn_ends(count: int) -> None:
    stored: list[int] = []

    async def scenario(sink: ChunkSink) -> None:
        for number in range(count):
            await sink.put(chunk(number))
        await sink.drain()
        ended = asyncio.Event()
        sink.stop(ended.set)
        await ended.wait()
        assert stored == list(range(count))

    run(lambda each: stored.append(each.offset), scenario)
