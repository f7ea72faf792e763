"""How a wish becomes a job: checked against the model it names, completed, put into the queue."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence

from layert2v.rerender.validation import resolve_rerender
from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo, resolve, validate
from layert2v_server.domain.job import Job
from layert2v_server.domain.request import RerenderWish, Wish
from layert2v_server.errors import DiskFull, EngineNotReady, SpecRejected
from layert2v_server.executors.base import Executor
from layert2v_server.service.job_monitor import JobBoard
from layert2v_server.service.sources import Sources
from layert2v_server.store.artifacts import ArtifactStore

PATIENCE_S = 15.0  # below the 20 s that a client gives a call


class Intake:
    """Takes requests. `draw_seed` chooses where the artist gave none."""

    def __init__(
        self,
        board: JobBoard,
        artifacts: ArtifactStore,
        sources: Sources,
        executors: Sequence[Executor],
        draw_seed: Callable[[], int],
    ) -> None:
        self._board = board
        self._artifacts = artifacts
        self._sources = sources
        self._executors = executors
        self._draw_seed = draw_seed

    async def submit(self, owner: str, request_id: str, asked: Wish) -> Job:
        """Queue a request, once per request id.

        Raises ``SpecRejected``, ``EngineNotReady``, ``DiskFull``, ``RequestIdReused`` and
        ``TooManyJobs``; for a re-render also ``SourceNotFound``, ``InvalidSource`` and
        ``FilesMissing``.
        """
        store = self._board.store
        known = await self._board.ask(store.find_by_request_id, owner, request_id, asked)
        if known is not None:
            return known
        if isinstance(asked, RerenderWish):
            return await self._rerender(owner, request_id, asked)
        return await self._generate(owner, request_id, asked)

    async def _generate(self, owner: str, request_id: str, asked: GenerateSpec) -> Job:
        model = _named(await self._models(), asked.model)
        self._admit(validate(asked, model))
        spec = resolve(asked, model, self._draw_seed())
        return await self._board.change(self._board.store.create, owner, request_id, asked, spec)

    async def _rerender(self, owner: str, request_id: str, asked: RerenderWish) -> Job:
        store = self._board.store
        opened = await self._board.ask(self._sources.open, owner, asked)
        name = asked.spec.model or opened.start.model
        model = next((model for model in await self._models() if model.name == name), None)
        self._admit(opened.violations(model))
        spec = resolve_rerender(asked.spec, opened.start, model, self._draw_seed())
        job_id, queued = store.new_id(), None
        try:
            await self._board.ask(self._sources.stage, owner, opened, job_id)
            create = functools.partial(store.create, source=opened.name, job_id=job_id)
            queued = await self._board.change(create, owner, request_id, asked, spec)
        finally:
            if queued is None or queued.id != job_id:  # refused, or asked twice at the same time
                await self._board.ask(self._artifacts.delete, job_id)
        return queued

    def _admit(self, violations: Sequence[FieldViolation]) -> None:
        if violations:
            raise SpecRejected(violations)
        if not self._artifacts.has_space():
            raise DiskFull

    async def _models(self) -> tuple[ModelInfo, ...]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    mark = self._board.seen()
                    models = await self._board.ask(self._board.store.list_models)
                    if models:
                        return models
                    self._raise_problem()
                    await self._board.news(mark, timeout_s=0.5)
        except TimeoutError:
            raise EngineNotReady(
                "The engine is still starting.", "Try again in a few seconds."
            ) from None

    def _raise_problem(self) -> None:
        if any(
            executor.worker_info is not None and not executor.worker_info.models
            for executor in self._executors
        ):
            raise EngineNotReady(
                "This server has no model.", "Start it with --models and a folder of checkpoints."
            )
        problems = [executor.startup_error for executor in self._executors]
        if all(problem is not None for problem in problems):
            for problem in problems:
                if problem is not None:
                    raise EngineNotReady(problem.message, problem.hint)


def _named(models: Sequence[ModelInfo], name: str) -> ModelInfo:
    for model in models:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in models)
    raise SpecRejected([FieldViolation("model", f"The model must be one of: {known}.")])
