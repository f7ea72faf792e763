"""The job monitor: watches, and the end of every wait."""

from __future__ import annotations

import asyncio

import pytest

from fakes.inline_server import InlineServer, run_scenario
from layert2v_server.domain.job import Progress
from layert2v_server.errors import (
    JobNotFound,
    ServerStopping,
)


def test_a_watch_starts_from_a_revision(server: InlineServer) -> None:
    job = server.enqueue()

    async def scenario() -> None:
        ended = await server.wait(job)
        assert [j async for j in server.monitor.watch(job, ended.revision)] == []
        assert [j async for j in server.monitor.watch(job, 1)] == [ended]
        with pytest.raises(JobNotFound):
            await anext(server.monitor.watch("nobody"))

    run_scenario(server, scenario)


def test_watchers_share_a_query_and_miss_nothing(server: InlineServer) -> None:
    store, monitor = server.store, server.monitor
    job_id = server.enqueue()
    claimed = store.claim("gpu", 60.0)
    assert claimed is not None
    queries: list[str] = []
    get = store.get
    store.get = lambda job_id: queries.append(job_id) or get(job_id)  # type: ignore[method-assign, func-returns-value]

    async def follow() -> list[int]:
        return [job.progress.done async for job in monitor.watch(job_id)]

    async def scenario() -> None:
        watchers = [asyncio.ensure_future(follow()) for _ in range(50)]
        for done in range(1, 4):
            await asyncio.sleep(0.1)
            await monitor.update_running(store.record_progress, job_id, 1, Progress(done=done))
        await monitor.update(store.mark_succeeded, job_id, 1, [])
        seen = await asyncio.gather(*watchers)
        assert all(done[-1] == 0 and done == [*sorted(done[:-1]), 0] for done in seen)
        assert len(queries) < 50

    asyncio.run(scenario())
    server.engine.dispose()


def test_closing_the_monitor_ends_every_wait(server: InlineServer) -> None:
    async def scenario() -> None:
        watch = asyncio.ensure_future(server.monitor.wait_for_change(server.monitor.version))
        await asyncio.sleep(0)
        await server.monitor.close()
        with pytest.raises(ServerStopping):
            await watch

    asyncio.run(scenario())
    server.engine.dispose()
