"""What the scheduler asks of a place where jobs run: one device, one job at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from layert2v_server.errors import ServerError
from layert2v_server.worker.messages import Ready, Report, Run


class Executor(ABC):
    """One device. `told` is what its worker said when it came up, `problem` why it is not up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: Ready | None = None
        self.problem: ServerError | None = None

    @abstractmethod
    async def ready(self) -> Ready:
        """Make sure that the device can take a job, starting what needs to be started.

        Raises `EngineNotReady` and `WorkerLost`; asking again tries again.
        """

    @abstractmethod
    def run(self, run: Run) -> AsyncGenerator[Report, None]:
        """Run one job; the last report is its ending. Raises `WorkerLost` where none will come."""

    @abstractmethod
    def cancel(self, job: str) -> None:
        """Tell the worker to stop the job, and see to it that it obeys; no harm for another job."""

    @abstractmethod
    async def close(self) -> None:
        """End the worker, whatever it does."""
