"""The scheduler with executors in this process: endings, retries, cancel, leases, full disks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fakes.fake_engine import MODEL, Behaviour, FakeEngine
from layert2v.spec import GenerateSpec, resolve
from layert2v.stack import read
from layert2v_server.domain.job import Job
from layert2v_server.domain.state import JobState
from layert2v_server.errors import (
    EngineNotReady,
    JobNotFound,
    ServerStopping,
    SpecRejected,
    WorkerLost,
)
from layert2v_server.executors.base import Executor
from layert2v_server.executors.inline import InlineExecutor
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.scheduler import Scheduler
from layert2v_server.service.sources import SourceResolver
from layert2v_server.service.submission import JobSubmission
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.uploads import UploadStore
from layert2v_server.worker.messages import Heartbeat, Ready, Report, RunJob


class Fragile(InlineExecutor):
    """Loses the first `losses` jobs, and is not ready the first `refusals` times."""

    def __init__(self, *, losses: int = 0, refusals: int = 0) -> None:
        super().__init__("cpu", FakeEngine(None, "cpu"))
        self.losses, self.refusals = losses, refusals

    async def ensure_ready(self) -> Ready:
        self.refusals -= 1
        if self.refusals >= 0:
            self.startup_error = EngineNotReady("Not yet.")
            raise self.startup_error
        self.startup_error = None
        return await super().ensure_ready()

    async def run(self, command: RunJob) -> AsyncGenerator[Report, None]:
        self.losses -= 1
        if self.losses >= 0:
            Path(command.folder).mkdir(parents=True)
            yield Heartbeat(job=command.job)
            raise WorkerLost("The worker process ended unexpectedly.")
        async with contextlib.aclosing(super().run(command)) as reports:
            async for report in reports:
                yield report


class Shop:
    """A monitor, a store of results and a scheduler on one folder."""

    def __init__(self, folder: Path, executor: Executor, min_free_bytes: int = 0) -> None:
        self.engine = open_database(folder / "jobs.sqlite3")
        self.store = JobStore(self.engine)
        self.monitor = JobMonitor(self.store)
        self.artifacts = ArtifactStore(folder / "jobs", min_free_bytes=min_free_bytes)
        self.scheduler = Scheduler(self.monitor, self.artifacts, [executor], lease_s=30.0)
        uploads = UploadStore(folder / "uploads", max_bytes=100)
        content_index = ContentIndex(self.store, self.artifacts, uploads)
        sources = SourceResolver(self.store, self.artifacts, content_index)
        self.submission = JobSubmission(
            self.monitor, self.artifacts, sources, [executor], lambda: 42
        )

    def put(self, behaviour: Behaviour | None = None, **spec: int) -> str:
        text = "" if behaviour is None else behaviour.to_prompt()
        asked = GenerateSpec(prompt="a fox", negative_prompt=text, **spec)
        full = resolve(asked, MODEL, 42)
        return self.store.create("anna", str(len(self.store.list_ids())), asked, full).id

    async def wait(
        self, job: str, until: Callable[[Job], bool] = lambda job: job.is_terminal
    ) -> Job:
        async for snapshot in self.monitor.watch(job):
            if until(snapshot):
                return snapshot
        raise AssertionError("the job ended before")


@contextlib.asynccontextmanager
async def working(shop: Shop) -> AsyncIterator[Shop]:
    shop.scheduler.start()
    try:
        async with asyncio.timeout(30):
            yield shop
    finally:
        await shop.scheduler.close()
        shop.engine.dispose()


def play(shop: Shop, scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with working(shop):
            await scene()

    asyncio.run(run())


@pytest.fixture
def fragile() -> Fragile:
    return Fragile()


@pytest.fixture
def shop(tmp_path: Path, fragile: Fragile) -> Shop:
    return Shop(tmp_path, fragile)


def attempts(shop: Shop) -> list[Path]:
    return list(shop.artifacts.root.glob("*/attempt_*"))


def test_jobs_run_one_after_the_other(shop: Shop) -> None:
    jobs = [shop.put(), shop.put()]

    async def scene() -> None:
        ended = [await shop.wait(job) for job in jobs]
        assert [job.state for job in ended] == [JobState.SUCCEEDED] * 2
        for job in ended:
            stack = read(shop.artifacts.stack_folder(job.id))
            assert job.artifact_count == len(stack.files()) + 2  # and two manifests
        assert shop.store.list_models() == (MODEL,)

    play(shop, scene)
    assert attempts(shop) == []


def test_a_lost_job_runs_again(shop: Shop, fragile: Fragile) -> None:
    fragile.losses = 2
    job = shop.put()

    async def scene() -> None:
        ended = await shop.wait(job)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 3)

    play(shop, scene)


def test_a_job_that_kills_every_worker_fails(shop: Shop, fragile: Fragile) -> None:
    fragile.losses = 3
    job = shop.put()

    async def scene() -> None:
        ended = await shop.wait(job)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 3)
        assert ended.failure is not None
        assert ended.failure.reason == "WORKER_CRASHED"

    play(shop, scene)
    assert attempts(shop) == []


def test_an_engine_error_is_final(shop: Shop) -> None:
    job = shop.put(Behaviour(fault="engine_error"))

    async def scene() -> None:
        ended = await shop.wait(job)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
        assert ended.failure is not None
        assert (ended.failure.reason, ended.failure.hint) == ("NO_SUCH_WORD", "Use another word.")

    play(shop, scene)


def test_cancel_reaches_the_right_job_only(shop: Shop) -> None:
    first, second = shop.put(Behaviour(step_s=0.05), steps=1000), shop.put()

    async def scene() -> None:
        await shop.wait(first, lambda job: job.progress.done > 0)
        await shop.monitor.update(shop.store.cancel, first)
        assert (await shop.wait(first)).state is JobState.CANCELLED
        assert (await shop.wait(second)).state is JobState.SUCCEEDED

    play(shop, scene)
    assert attempts(shop) == []


def test_draining_returns_the_job_to_the_queue(shop: Shop) -> None:
    job = shop.put(Behaviour(step_s=0.05), steps=1000)

    async def scene() -> None:
        await shop.wait(job, lambda job: job.progress.done > 0)
        await shop.scheduler.close()
        drained = shop.store.get(job)
        assert (drained.state, drained.attempt) == (JobState.QUEUED, 0)

    play(shop, scene)
    assert attempts(shop) == []


def test_no_room_is_a_clear_failure(tmp_path: Path, fragile: Fragile) -> None:
    shop = Shop(tmp_path, fragile, min_free_bytes=1 << 62)
    job = shop.put()

    async def scene() -> None:
        ended = await shop.wait(job)
        assert ended.failure is not None
        assert ended.failure.reason == "DISK_FULL"

    play(shop, scene)


def test_an_attempt_that_lost_its_lease_is_dropped(shop: Shop) -> None:
    job = shop.put(Behaviour(step_s=0.3), steps=1000)

    async def scene() -> None:
        started = await shop.wait(job, lambda job: job.progress.done > 0)
        # As if the clock had jumped: another worker may take the job at any time.
        await shop.monitor.update(shop.store.requeue, job, started.attempt)
        await shop.monitor.update(shop.store.cancel, job)
        assert (await shop.wait(job)).state is JobState.CANCELLED
        other = shop.put()
        assert (await shop.wait(other)).state is JobState.SUCCEEDED

    play(shop, scene)


def test_an_engine_that_comes_late(shop: Shop, fragile: Fragile) -> None:
    fragile.refusals = 1

    async def scene() -> None:
        asked = GenerateSpec(prompt="a fox")
        with pytest.raises(EngineNotReady):
            await shop.submission.submit("anna", "r1", asked)
        await shop.wait(shop.put())
        job = await shop.submission.submit("anna", "r2", asked)
        assert (job.spec.seed, job.spec.steps) == (42, MODEL.default_steps)
        assert (await shop.submission.submit("anna", "r2", asked)).id == job.id

    play(shop, scene)


def test_wishes_are_checked_against_their_model(shop: Shop) -> None:
    async def scene() -> None:
        await shop.wait(shop.put())
        for wrong in (GenerateSpec(prompt=""), GenerateSpec(prompt="a", model="wan")):
            with pytest.raises(SpecRejected) as refusal:
                await shop.submission.submit("anna", "r9", wrong)
            assert refusal.value.violations
        assert len(shop.store.list_ids()) == 1

    play(shop, scene)


def test_a_watch_starts_from_a_revision(shop: Shop) -> None:
    job = shop.put()

    async def scene() -> None:
        ended = await shop.wait(job)
        assert [j async for j in shop.monitor.watch(job, ended.revision)] == []
        assert [j async for j in shop.monitor.watch(job, 1)] == [ended]
        with pytest.raises(JobNotFound):
            await anext(shop.monitor.watch("nobody"))

    play(shop, scene)


def test_a_closed_board_ends_every_wait(shop: Shop) -> None:
    async def scene() -> None:
        watch = asyncio.ensure_future(shop.monitor.wait_for_change(shop.monitor.version))
        await asyncio.sleep(0)
        await shop.monitor.close()
        with pytest.raises(ServerStopping):
            await watch

    asyncio.run(scene())
    shop.engine.dispose()
