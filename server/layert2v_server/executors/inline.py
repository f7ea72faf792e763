"""Run jobs in a thread of this process: for tests of everything around the worker process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from layert2v.spec import model_to_json
from layert2v_server.executors.base import Executor
from layert2v_server.worker.messages import ProgressReport, Ready, Report, RunJob
from layert2v_server.worker.runner import Engine, run_job


class InlineExecutor(Executor):
    """Runs jobs on ``engine``, in this process, so that they cannot be killed."""

    def __init__(self, name: str, engine: Engine) -> None:
        super().__init__(name)
        self._engine = engine
        self._cancelled_jobs: set[str] = set()

    async def ensure_ready(self) -> Ready:
        if self.worker_info is None:
            models = [model_to_json(model) for model in self._engine.models()]
            self.worker_info = Ready(models=models, device="inline", memory_bytes=0)
        return self.worker_info

    async def run(self, command: RunJob) -> AsyncGenerator[Report, None]:
        loop = asyncio.get_running_loop()
        reports: asyncio.Queue[ProgressReport | None] = asyncio.Queue()

        def send(report: ProgressReport) -> None:
            loop.call_soon_threadsafe(reports.put_nowait, report)

        def is_cancelled() -> bool:
            return command.job in self._cancelled_jobs

        job = loop.run_in_executor(None, run_job, self._engine, command, send, is_cancelled)
        job.add_done_callback(lambda _: reports.put_nowait(None))
        try:
            while (report := await reports.get()) is not None:
                yield report
            yield await job
        finally:
            self._cancelled_jobs.add(command.job)  # a job without a reader must end
            await asyncio.wait([job])
            self._cancelled_jobs.discard(command.job)

    def cancel(self, job: str) -> None:
        self._cancelled_jobs.add(job)

    async def close(self) -> None:
        self.worker_info = None
