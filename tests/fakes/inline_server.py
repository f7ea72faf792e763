"""A job store, a scheduler and a submission in this process, with a fake engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

from fakes.fake_engine import MODEL, Behaviour, FakeEngine
from layert2v.spec import GenerateSpec, resolve
from layert2v_server.domain.job import Job
from layert2v_server.errors import (
    EngineNotReady,
    WorkerLost,
)
from layert2v_server.executors.base import Executor
from layert2v_server.executors.inline import InlineExecutor
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.quota import DiskQuota
from layert2v_server.service.scheduler import Scheduler
from layert2v_server.service.sources import SourceResolver
from layert2v_server.service.submission import JobSubmission
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.uploads import UploadStore
from layert2v_server.worker.messages import Heartbeat, Ready, Report, RunJob


class FlakyExecutor(InlineExecutor):
    """Loses the first ``losses`` jobs, and is not ready the first ``refusals`` times.

    ``errors`` are raised by the first jobs, ``start_errors`` by the first starts. While it
    ``ends_idle``, its worker ends as soon as it is ready.
    """

    def __init__(self, *, losses: int = 0, refusals: int = 0) -> None:
        super().__init__("cpu", FakeEngine(None, "cpu"))
        self.losses, self.refusals = losses, refusals
        self.errors: list[Exception] = []
        self.start_errors: list[Exception] = []
        self.ends_idle, self.starts = False, 0

    async def ensure_ready(self) -> Ready:
        if self.start_errors:
            raise self.start_errors.pop()
        self.refusals -= 1
        if self.refusals >= 0:
            self.startup_error = EngineNotReady("Not yet.")
            raise self.startup_error
        self.startup_error = None
        if self.ends_idle:
            self.worker_info = None
        self.starts += self.worker_info is None
        return await super().ensure_ready()

    async def run(self, command: RunJob) -> AsyncGenerator[Report, None]:
        self.losses -= 1
        if self.losses >= 0:
            Path(command.folder).mkdir(parents=True)
            yield Heartbeat(job=command.job)
            raise WorkerLost("The worker process ended unexpectedly.")
        if self.errors:
            raise self.errors.pop()
        async with contextlib.aclosing(super().run(command)) as reports:
            async for report in reports:
                yield report


class InlineServer:
    """A job store, a job monitor, a scheduler and a submission on one folder."""

    def __init__(
        self, folder: Path, executor: Executor, min_free_bytes: int = 0, max_user_bytes: int = 0
    ) -> None:
        self.engine = open_database(folder / "jobs.sqlite3")
        self.store = JobStore(self.engine)
        self.monitor = JobMonitor(self.store)
        self.artifacts = ArtifactStore(folder / "jobs", min_free_bytes=min_free_bytes)
        self.uploads = UploadStore(folder / "uploads", max_bytes=64 << 20)
        quota = DiskQuota(self.store, self.uploads, max_user_bytes)
        self.scheduler = Scheduler(self.monitor, self.artifacts, [executor], quota, lease_s=30.0)
        content_index = ContentIndex(self.store, self.artifacts, self.uploads)
        self.sources = SourceResolver(self.store, self.artifacts, content_index)
        self.submission = JobSubmission(
            self.monitor, self.artifacts, self.sources, [executor], quota, lambda: 42
        )

    def enqueue(self, behaviour: Behaviour | None = None, **spec: int) -> str:
        """Put a job into the queue, and return its id."""
        text = "" if behaviour is None else behaviour.to_prompt()
        request = GenerateSpec(prompt="a fox", negative_prompt=text, **spec)
        resolved = resolve(request, MODEL, 42)
        request_id = str(len(self.store.list_ids()))
        return self.store.create("anna", request_id, request, resolved).id

    async def wait(
        self, job: str, condition: Callable[[Job], bool] = lambda job: job.is_terminal
    ) -> Job:
        """Watch a job until a condition holds, by default to its end, and return it."""
        async for snapshot in self.monitor.watch(job):
            if condition(snapshot):
                return snapshot
        raise AssertionError("the job ended before the condition held")


@contextlib.asynccontextmanager
async def running(server: InlineServer) -> AsyncIterator[InlineServer]:
    """Run the scheduler for the length of a block, of 30 s at most."""
    server.scheduler.start()
    try:
        async with asyncio.timeout(30):
            yield server
    finally:
        await server.scheduler.close()
        server.engine.dispose()


def run_scenario(server: InlineServer, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine beside the scheduler."""

    async def run() -> None:
        async with running(server):
            await scenario()

    asyncio.run(run())
