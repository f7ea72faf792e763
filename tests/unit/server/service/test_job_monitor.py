"""The job monitor: watches, and the end of every wait."""

from __future__ import annotations

import asyncio

import pytest

from fakes.inline_server import InlineServer, run_scenario
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


def test_closing_the_monitor_ends_every_wait(server: InlineServer) -> None:
    async def scenario() -> None:
        watch = asyncio.ensure_future(server.monitor.wait_for_change(server.monitor.version))
        await asyncio.sleep(0)
        await server.monitor.close()
        with pytest.raises(ServerStopping):
            await watch

    asyncio.run(scenario())
    server.engine.dispose()
