"""The end of an upload whose caller leaves."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from pathlib import Path

import pytest

from fakes.inline_server import FlakyExecutor, InlineServer
from layert2v_server.api.artifacts import ArtifactService
from layert2v_server.service.quota import DiskQuota
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.uploads import Upload


def test_the_next_attempt_joins_the_end_of_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = InlineServer(tmp_path, FlakyExecutor())
    service = ArtifactService(
        server.monitor,
        server.artifacts,
        server.uploads,
        ContentIndex(server.store, server.artifacts, server.uploads),
        DiskQuota(server.store, server.uploads, 0),
    )
    upload = Upload(
        id=str(uuid.UUID(int=1)),
        owner="anna",
        size_bytes=1,
        sha256=hashlib.sha256(b"x").hexdigest(),
        media_type="image/png",
    )
    server.uploads.begin(upload)
    server.uploads.append(upload, 0, b"x")
    finish, calls, may_go_on = server.uploads.finish, [], threading.Event()

    def slow_finish(of: Upload) -> None:
        calls.append(of)
        assert may_go_on.wait(20)
        finish(of)

    monkeypatch.setattr(server.uploads, "finish", slow_finish)

    async def scenario() -> None:
        first = asyncio.create_task(service._finish_once(upload))
        while not calls:
            await asyncio.sleep(0.01)
        first.cancel()
        second = asyncio.create_task(service._finish_once(upload))
        await asyncio.sleep(0.05)
        may_go_on.set()
        assert (await second).artifact.sha256 == upload.sha256
        assert first.cancelled()
        assert not service._finishing
        await service._finish_once(upload)  # a later one finds it finished

    asyncio.run(scenario())
    assert calls == [upload, upload]
    assert server.uploads.is_complete(upload.id, "anna")
