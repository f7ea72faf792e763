"""The interface between the scheduler and a device that runs one job at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from layert2v_server.errors import ServerError
from layert2v_server.worker.messages import Ready, Report, RunJob


class Executor(ABC):
    """One device.

    ``worker_info`` is the ``Ready`` message of its worker while that runs, ``startup_error`` the
    reason why its worker did not start.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.worker_info: Ready | None = None
        self.startup_error: ServerError | None = None

    @abstractmethod
    async def ensure_ready(self) -> Ready:
        """Start the worker if it does not run, and return its ``Ready`` message.

        Raises ``EngineNotReady`` and ``WorkerLost``; another call tries again.
        """

    @abstractmethod
    def run(self, command: RunJob) -> AsyncGenerator[Report, None]:
        """Run one job; the last report is its outcome. Raises ``WorkerLost`` where none comes."""

    @abstractmethod
    def cancel(self, job: str) -> None:
        """Tell the worker to stop the job, and make sure that it does; ignore any other job."""

    @abstractmethod
    async def close(self) -> None:
        """Stop the worker, whatever it does."""
