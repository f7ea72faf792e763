"""The loop that removes what is old while the server runs."""

from __future__ import annotations

import asyncio

from fakes.inline_server import InlineServer
from layert2v.spec import GenerateSpec
from layert2v_server.service.housekeeping import Housekeeping
from layert2v_server.store.retention import DAY_S, DataStores, Retention, note_use
from layert2v_server.store.rows import new_row

NOW = 1_800_000_000.0


def test_the_loop_goes_on_after_an_error(server: InlineServer) -> None:
    spec = GenerateSpec(prompt="a fox", seed=7)
    server.store.register("anna", new_row("a" * 32, spec, "", NOW - 2 * DAY_S), [], ())
    data = server.artifacts.root.parent
    stores = DataStores(
        data=data, jobs=server.store, artifacts=server.artifacts, uploads=server.uploads
    )
    calls: list[float] = []

    def clock() -> float:
        calls.append(NOW)
        if len(calls) == 1:
            raise OSError("no clock")
        return NOW

    retention = Retention(jobs_days=1, uploads_days=7, trash_days=7)
    note_use(data, NOW)

    async def scenario() -> None:
        housekeeping = Housekeeping(
            stores, server.monitor.pools, retention, interval_s=0.01, clock=clock
        )
        housekeeping.start()
        async with asyncio.timeout(20):
            while server.store.list_ids():
                await asyncio.sleep(0.01)
        await housekeeping.close()

    asyncio.run(scenario())
