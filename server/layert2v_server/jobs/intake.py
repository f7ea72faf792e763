"""How a wish becomes a job: checked against the model it names, completed, put into the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo, resolve, validate
from layert2v_server.errors import DiskFull, EngineNotReady, SpecRejected
from layert2v_server.executors.base import Executor
from layert2v_server.jobs.board import JobBoard
from layert2v_server.jobs.job import Job
from layert2v_server.store.artifacts import ArtifactStore

PATIENCE_S = 15.0  # below the 20 s that a client gives a call


class Intake:
    """Takes requests. `draw_seed` chooses where the artist gave none."""

    def __init__(
        self,
        board: JobBoard,
        artifacts: ArtifactStore,
        executors: Sequence[Executor],
        draw_seed: Callable[[], int],
    ) -> None:
        self._board = board
        self._artifacts = artifacts
        self._executors = executors
        self._draw_seed = draw_seed

    async def submit(self, owner: str, request_id: str, asked: GenerateSpec) -> Job:
        """Queue a request, once per request id.

        Raises `SpecRejected`, `EngineNotReady`, `DiskFull`, `RequestReused` and `TooManyJobs`.
        """
        store = self._board.store
        known = await self._board.ask(store.find_request, owner, request_id, asked)
        if known is not None:
            return known
        model = _named(await self._models(), asked.model)
        violations = validate(asked, model)
        if violations:
            raise SpecRejected(violations)
        if not self._artifacts.has_room():
            raise DiskFull
        spec = resolve(asked, model, self._draw_seed())
        return await self._board.change(store.create, owner, request_id, asked, spec)

    async def _models(self) -> tuple[ModelInfo, ...]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    mark = self._board.seen()
                    models = await self._board.ask(self._board.store.models)
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
            executor.told is not None and not executor.told.models for executor in self._executors
        ):
            raise EngineNotReady(
                "This server has no model.", "Start it with --models and a folder of checkpoints."
            )
        problems = [executor.problem for executor in self._executors]
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
