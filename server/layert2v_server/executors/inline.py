"""Jobs in a thread of this process: for tests of everything around the worker process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from layert2v.spec import model_to_json
from layert2v_server.executors.base import Executor
from layert2v_server.worker.messages import Progressed, Ready, Report, Run
from layert2v_server.worker.runner import Engine, run_job


class InlineExecutor(Executor):
    """Runs jobs on `engine`, which lives in this process and cannot be killed."""

    def __init__(self, name: str, engine: Engine) -> None:
        super().__init__(name)
        self._engine = engine
        self._unwanted: set[str] = set()

    async def ready(self) -> Ready:
        if self.told is None:
            models = [model_to_json(model) for model in self._engine.models()]
            self.told = Ready(models=models, device="inline", memory_bytes=0)
        return self.told

    async def run(self, run: Run) -> AsyncGenerator[Report, None]:
        loop = asyncio.get_running_loop()
        reports: asyncio.Queue[Progressed | None] = asyncio.Queue()

        def send(report: Progressed) -> None:
            loop.call_soon_threadsafe(reports.put_nowait, report)

        def cancelled() -> bool:
            return run.job in self._unwanted

        job = loop.run_in_executor(None, run_job, self._engine, run, send, cancelled)
        job.add_done_callback(lambda _: reports.put_nowait(None))
        try:
            while (report := await reports.get()) is not None:
                yield report
            yield await job
        finally:
            self._unwanted.add(run.job)  # a run that nobody follows must end
            await asyncio.wait([job])
            self._unwanted.discard(run.job)

    def cancel(self, job: str) -> None:
        self._unwanted.add(job)

    async def close(self) -> None:
        self.told = None
