"""Submit requests: check them against their model, fill in defaults, put them into the queue."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence

from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo, resolve, validate
from layert2v_server.domain.job import Job
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.request import (
    DecomposeRequest,
    JobRequest,
    JobSpec,
    RefineRequest,
    RerenderRequest,
)
from layert2v_server.errors import (
    DiskFull,
    EngineNotReady,
    JobNotFound,
    ServerError,
    SpecRejected,
)
from layert2v_server.executors.base import Executor
from layert2v_server.service.footage_sources import (
    resolve_decompose_request,
    resolve_refine_request,
)
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.quota import DiskQuota
from layert2v_server.service.sources import SourceResolver, StageableFiles
from layert2v_server.store.artifacts import ArtifactStore

CreateJob = Callable[..., Job]  # ``JobStore.create`` of one request; takes the complete spec

MODELS_TIMEOUT_S = 15.0  # below the 20 s after which a client gives up a call


class JobSubmission:
    """Makes jobs of requests. ``random_seed`` gives the seed where the request has none."""

    def __init__(
        self,
        monitor: JobMonitor,
        artifacts: ArtifactStore,
        sources: SourceResolver,
        executors: Sequence[Executor],
        quota: DiskQuota,
        random_seed: Callable[[], int],
    ) -> None:
        self._monitor = monitor
        self._artifacts = artifacts
        self._sources = sources
        self._executors = executors
        self._quota = quota
        self._random_seed = random_seed
        self._staging = monitor.pools.staging(is_remote=artifacts.is_remote)
        self._removal = monitor.pools.removal(is_remote=artifacts.is_remote)

    async def submit(
        self,
        owner: str,
        request_id: str,
        request: JobRequest,
        priority: Priority = Priority.NORMAL,
    ) -> Job:
        """Queue a request, once per request id.

        Raises ``SpecRejected``, ``EngineNotReady``, ``DiskFull``, ``RequestIdReused`` and
        ``TooManyJobs``, ``QuotaExceeded``; where files come along also ``SourceNotFound``,
        ``InvalidSource`` and ``FilesMissing``.
        """
        store = self._monitor.store
        known = await self._monitor.run(store.find_by_request_id, owner, request_id, request)
        if known is not None:
            return known
        await self._monitor.pools.heavy.run(self._quota.require, owner)
        create = functools.partial(store.create, owner, request_id, request, priority=priority)
        match request:
            case RerenderRequest():
                return await self._rerender(owner, request, create)
            case DecomposeRequest():
                return await self._decompose(owner, request, create)
            case RefineRequest():
                return await self._refine(owner, request, create)
        return await self._generate(request, create)

    async def _generate(self, request: GenerateSpec, create: CreateJob) -> Job:
        model = _find_model(await self._wait_for_models(), request.model)
        self._check(validate(request, model))
        spec = resolve(request, model, self._random_seed())
        return await self._monitor.update(create, spec)

    async def _decompose(self, owner: str, request: DecomposeRequest, create: CreateJob) -> Job:
        decompose = resolve_decompose_request(request)
        self._check(decompose.violations())
        return await self._stage_and_queue(owner, create, request.spec, decompose, decompose.name)

    async def _refine(self, owner: str, request: RefineRequest, create: CreateJob) -> Job:
        refine = await self._staging.run(resolve_refine_request, self._sources, owner, request)
        self._check(refine.violations())
        spec = refine.complete_spec()
        return await self._stage_and_queue(owner, create, spec, refine, refine.source.name)

    async def _rerender(self, owner: str, request: RerenderRequest, create: CreateJob) -> Job:
        rerender = await self._staging.run(self._sources.resolve, owner, request)
        name = request.spec.model or rerender.start.model
        model = next((model for model in await self._wait_for_models() if model.name == name), None)
        self._check(rerender.violations(model))
        spec = rerender.complete_spec(model, self._random_seed())
        return await self._stage_and_queue(owner, create, spec, rerender, rerender.name)

    async def _stage_and_queue(
        self,
        owner: str,
        create: CreateJob,
        spec: JobSpec,
        source: StageableFiles,
        name: str,
    ) -> Job:
        """Put the files of a request into the folder of a new job, and queue it.

        Not broken off where the caller leaves: whether there is a job then would not be known, and
        one must not lose its files.
        """
        return await asyncio.shield(self._put_into_queue(owner, create, spec, source, name))

    async def _put_into_queue(
        self,
        owner: str,
        create: CreateJob,
        spec: JobSpec,
        source: StageableFiles,
        name: str,
    ) -> Job:
        store = self._monitor.store
        job_id = store.new_id()
        try:
            await self._staging.run(self._sources.stage, owner, source, job_id)
            queued = await self._monitor.update(create, spec, source=name, job_id=job_id)
        except Exception:
            await self._delete_unless_queued(job_id)
            raise
        if queued.id != job_id:  # submitted twice at the same time
            await self._removal.run(self._artifacts.delete, job_id)
        return queued

    async def _delete_unless_queued(self, job_id: str) -> None:
        """Delete what was staged for a job that was refused.

        A database whose answer was lost may have taken it; where it does not say, the next start
        of the server does.
        """
        with contextlib.suppress(ServerError):
            try:
                await self._monitor.run(self._monitor.store.get, job_id)
            except JobNotFound:
                await self._removal.run(self._artifacts.delete, job_id)

    def _check(self, violations: Sequence[FieldViolation]) -> None:
        if violations:
            raise SpecRejected(violations)
        if not self._artifacts.has_space():
            raise DiskFull

    async def _wait_for_models(self) -> tuple[ModelInfo, ...]:
        try:
            async with asyncio.timeout(MODELS_TIMEOUT_S):
                while True:
                    version = self._monitor.version
                    models = await self._monitor.run(self._monitor.store.list_models)
                    if models:
                        return models
                    self._raise_startup_error()
                    await self._monitor.wait_for_change(version, timeout_s=0.5)
        except TimeoutError:
            raise EngineNotReady(
                "The engine is still starting.", "Try again in a few seconds."
            ) from None

    def _raise_startup_error(self) -> None:
        if any(
            executor.worker_info is not None and not executor.worker_info.models
            for executor in self._executors
        ):
            raise EngineNotReady(
                "This server has no model.", "Start it with --models and a folder of checkpoints."
            )
        errors = [executor.startup_error for executor in self._executors]
        if all(error is not None for error in errors):
            for error in errors:
                if error is not None:
                    raise EngineNotReady(error.message, error.hint)


def _find_model(models: Sequence[ModelInfo], name: str) -> ModelInfo:
    for model in models:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in models)
    raise SpecRejected([FieldViolation("model", f"The model must be one of: {known}.")])
