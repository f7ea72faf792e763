"""ServerService: describe the server, its models, devices, limits and storage."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

import layert2v
from layert2v.v1 import server_pb2, server_pb2_grpc
from layert2v.wire import MAX_MESSAGE_BYTES, model_to_message
from layert2v_server.api.convert import PRIORITY_NUMBERS
from layert2v_server.api.interceptor import current_principal
from layert2v_server.domain.queue_order import Priority
from layert2v_server.executors.base import Executor
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.quota import DiskQuota
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.uploads import UploadStore

PROBLEM_TIMEOUT_S = 1.0
CAPABILITIES = ("previews", "upload", "rerender", "decompose")


class ServerService(server_pb2_grpc.ServerServiceServicer):
    """Answers at once; without models until the first worker of this server is ready."""

    def __init__(
        self,
        monitor: JobMonitor,
        artifacts: ArtifactStore,
        uploads: UploadStore,
        executors: Sequence[Executor],
        quota: DiskQuota,
    ) -> None:
        self._monitor = monitor
        self._artifacts = artifacts
        self._uploads = uploads
        self._executors = executors
        self._quota = quota

    async def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: grpc.aio.ServicerContext
    ) -> server_pb2.ServerInfo:
        store = self._monitor.store
        models = await self._monitor.run(store.list_models)
        free_bytes = await self._monitor.run(self._artifacts.free_bytes)
        return server_pb2.ServerInfo(
            version=layert2v.__version__,
            models=[model_to_message(model) for model in models],
            capabilities=CAPABILITIES,
            limits=server_pb2.Limits(
                max_message_bytes=MAX_MESSAGE_BYTES,
                max_open_jobs=store.max_open_jobs,
                max_upload_bytes=self._uploads.max_bytes,
            ),
            storage=server_pb2.Storage(
                used_bytes=await self._monitor.run(store.used_bytes),
                free_bytes=free_bytes,
                problem=await self._find_problem(),
            ),
            devices=[_device_to_message(executor) for executor in self._executors],
            account=await self._account(),
        )

    async def _account(self) -> server_pb2.Account:
        """Return what the caller has and may have."""
        principal, store = current_principal(), self._monitor.store
        # Not among heavy work, where it would wait for the hash of this caller's upload; nor among
        # short queries, which would wait for it.
        disk = await self._monitor.pools.sums.run(self._quota.measure, principal.user)
        present = await self._monitor.run(store.count_open, principal.user)
        allowed = [each for each in Priority if each < Priority.URGENT or principal.may_be_urgent]
        return server_pb2.Account(
            user=principal.user,
            used_bytes=disk.used_bytes,
            max_bytes=disk.max_bytes,
            open_jobs=present.total,
            max_open_jobs=store.max_open_jobs,
            queued_jobs=present.queued,
            priorities=[PRIORITY_NUMBERS[each] for each in allowed],
        )

    async def _find_problem(self) -> str:
        """Return why results cannot be used, as far as that is known within a second."""
        try:
            async with asyncio.timeout(PROBLEM_TIMEOUT_S):
                return await self._monitor.pools.transfers.run(self._artifacts.problem)
        except TimeoutError:
            return "The server waits for its bucket."


def _device_to_message(executor: Executor) -> server_pb2.Device:
    info = executor.worker_info
    if info is None:
        return server_pb2.Device(name=executor.name)
    return server_pb2.Device(name=info.device, memory_bytes=info.memory_bytes, ready=True)
