"""The figures of an account, which may take a second to add up."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from fakes.inline_server import FlakyExecutor, InlineServer
from layert2v_server.api.server_info import ServerService
from layert2v_server.service.quota import DiskQuota, DiskUse


def test_who_asks_for_figures_keeps_no_list_of_jobs_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = InlineServer(tmp_path, FlakyExecutor())
    quota, may_go_on = DiskQuota(server.store, server.uploads, 0), threading.Event()

    def measure(owner: str) -> DiskUse:
        assert may_go_on.wait(20)
        return DiskUse(used_bytes=1, max_bytes=0)

    monkeypatch.setattr(quota, "measure", measure)
    service = ServerService(server.monitor, server.artifacts, server.uploads, [], quota)

    async def scenario() -> None:
        calls = [asyncio.create_task(service._account()) for _ in range(8)]
        await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(5):
                assert await server.monitor.run(server.store.list_ids) == set()
        finally:
            may_go_on.set()
        assert {account.used_bytes for account in await asyncio.gather(*calls)} == {1}

    asyncio.run(scenario())
