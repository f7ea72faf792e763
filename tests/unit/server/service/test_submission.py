"""Submission: defaults, checks, and an engine that is not ready."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
from typing import Any

import pytest

from fakes.fake_engine import MODEL
from fakes.inline_server import FlakyExecutor, InlineServer, run_scenario
from layert2v.decompose import DecomposeSpec, Footage
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Job
from layert2v_server.domain.request import DecomposeRequest, ImageSequence
from layert2v_server.errors import (
    EngineNotReady,
    SpecRejected,
    StorageFailed,
)
from layert2v_server.store.uploads import Upload


def test_an_engine_that_is_ready_late(server: InlineServer, executor: FlakyExecutor) -> None:
    executor.refusals = 10**6

    async def scenario() -> None:
        request = GenerateSpec(prompt="a fox")
        with pytest.raises(EngineNotReady):
            await server.submission.submit("anna", "r1", request)
        executor.refusals = 0
        await server.wait(server.enqueue())
        job = await server.submission.submit("anna", "r2", request)
        assert (job.spec.seed, job.spec.steps) == (42, MODEL.default_steps)
        assert (await server.submission.submit("anna", "r2", request)).id == job.id

    run_scenario(server, scenario)


def test_requests_are_checked_against_their_model(server: InlineServer) -> None:
    async def scenario() -> None:
        await server.wait(server.enqueue())
        for wrong in (GenerateSpec(prompt=""), GenerateSpec(prompt="a", model="wan")):
            with pytest.raises(SpecRejected) as refusal:
                await server.submission.submit("anna", "r9", wrong)
            assert refusal.value.violations
        assert len(server.store.list_ids()) == 1

    run_scenario(server, scenario)


def footage(server: InlineServer) -> DecomposeRequest:
    """Return a request for one picture, which is uploaded."""
    data = b"picture"
    sha256 = hashlib.sha256(data).hexdigest()
    upload = Upload(
        id=str(uuid.UUID(int=1)),
        owner="anna",
        size_bytes=len(data),
        sha256=sha256,
        media_type="image/png",
    )
    server.uploads.begin(upload)
    server.uploads.append(upload, 0, data)
    server.uploads.finish(upload)
    file = FileRecord(path="f.0001.png", size_bytes=len(data), sha256=sha256)
    spec = DecomposeSpec(footage=Footage(input="footage"))
    return DecomposeRequest(spec=spec, inputs={"footage": ImageSequence(files=(file,))})


def test_a_caller_who_leaves_while_the_job_is_queued(
    server: InlineServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, begun, may_go_on = server.store.create, threading.Event(), threading.Event()

    def slow_create(*args: Any, **options: Any) -> Job:
        begun.set()
        assert may_go_on.wait(20)
        return create(*args, **options)

    monkeypatch.setattr(server.store, "create", slow_create)

    async def scenario() -> None:
        call = asyncio.create_task(server.submission.submit("anna", "r1", footage(server)))
        await asyncio.to_thread(begun.wait, 20)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(call), 20)
        may_go_on.set()
        async with asyncio.timeout(20):
            while not server.store.list_ids():
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    asyncio.run(scenario())
    (job_id,) = server.store.list_ids()
    assert (server.artifacts.source_folder(job_id) / "inputs/footage/f.0001.png").is_file()


@pytest.mark.parametrize("is_queued", [True, False])
def test_a_database_that_does_not_say_if_it_took_the_job(
    server: InlineServer, monkeypatch: pytest.MonkeyPatch, is_queued: bool
) -> None:
    create = server.store.create

    def create_in_doubt(*args: Any, **options: Any) -> Job:
        if is_queued:
            create(*args, **options)
        raise StorageFailed("the connection broke")

    monkeypatch.setattr(server.store, "create", create_in_doubt)

    async def scenario() -> None:
        with pytest.raises(StorageFailed):
            await server.submission.submit("anna", "r1", footage(server))

    asyncio.run(scenario())
    folders = [path.name for path in server.artifacts.root.iterdir()]
    assert folders == list(server.store.list_ids())
    assert len(folders) == is_queued
