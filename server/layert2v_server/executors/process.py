"""One spawned worker process for one device. A crash there is an exception here, no more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence

from layert2v_server.errors import EngineNotReady, WorkerLost
from layert2v_server.executors.base import Executor
from layert2v_server.worker.messages import (
    Broken,
    Cancel,
    Failed,
    Finished,
    Message,
    Ready,
    Report,
    Run,
    Stopped,
    decode,
    encode,
)

MAX_LINE_BYTES = 16 << 20  # the ending of a job lists every file: 200 bytes each
BOOT_TIMEOUT_S = 300.0
CLOSE_GRACE_S = 2.0

_log = logging.getLogger(__name__)


def worker_command(*, engine: str, models: str, device: str, heartbeat_s: float) -> list[str]:
    """The command line of a worker process; empty `engine` and `models` mean its defaults."""
    command = [sys.executable, "-m", "layert2v_server.worker.main"]
    command += ["--device", device, "--heartbeat", str(heartbeat_s)]
    if engine:
        command += ["--engine", engine]
    if models:
        command += ["--models", models]
    return command


class ProcessExecutor(Executor):
    """Runs `command` and speaks `worker.messages` with it over pipes.

    A worker that says nothing for `silence_s`, or goes on for `cancel_grace_s` after it was told to
    stop, is killed.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, silence_s: float, cancel_grace_s: float
    ) -> None:
        super().__init__(name)
        self._command = tuple(command)
        self._silence_s = silence_s
        self._cancel_grace_s = cancel_grace_s
        self._process: Process | None = None
        self._job = ""  # the one that runs
        self._unwanted = ""  # the one that was cancelled last
        self._deadline: asyncio.TimerHandle | None = None

    async def ready(self) -> Ready:
        if self.told is not None and self._alive():
            return self.told
        await self.close()
        try:
            self.told = await self._boot()
        except (EngineNotReady, WorkerLost) as error:
            self.problem = error
            await self.close()
            raise
        self.problem = None
        return self.told

    async def run(self, run: Run) -> AsyncGenerator[Report, None]:
        self._job = run.job
        ended = False
        try:
            await self._send(run)
            if self._unwanted == run.job:
                self.cancel(run.job)
            while not ended:
                message = await self._next(self._silence_s)
                if not isinstance(message, Report) or message.job != run.job:
                    raise WorkerLost("The worker spoke out of turn.")
                ended = isinstance(message, Finished | Failed | Stopped)
                if isinstance(message, Failed) and message.last:
                    await self.close()
                yield message
        finally:
            self._job = ""
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            if not ended:  # nobody knows what it is doing
                await self.close()

    def cancel(self, job: str) -> None:
        self._unwanted = job
        process = self._process
        if job != self._job or process is None or process.stdin is None:
            return
        process.stdin.write(encode(Cancel(job=job)))
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._cancel_grace_s, _kill, process)

    async def close(self) -> None:
        process, self._process, self.told = self._process, None, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # the worker ends itself when its input ends
        try:
            async with asyncio.timeout(CLOSE_GRACE_S):
                await process.wait()
        except TimeoutError:
            _kill(process)
            await process.wait()

    async def _boot(self) -> Ready:
        _log.info("executor=%s starting a worker", self.name)
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            limit=MAX_LINE_BYTES,
            start_new_session=True,  # a terminal's Ctrl-C reaches the server alone
        )
        message = await self._next(BOOT_TIMEOUT_S)
        if isinstance(message, Broken):
            raise EngineNotReady(message.message, message.hint)
        if not isinstance(message, Ready):
            raise WorkerLost("The worker spoke out of turn.")
        _log.info("executor=%s pid=%d device=%s", self.name, self._process.pid, message.device)
        return message

    def _alive(self) -> bool:
        process = self._process
        if process is None or process.stdout is None:
            return False
        return process.returncode is None and not process.stdout.at_eof()

    async def _send(self, message: Message) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise WorkerLost("The worker is not running.")
        # A write to a dead worker fails here or shows as the end of its output.
        with contextlib.suppress(ConnectionError):
            process.stdin.write(encode(message))
            await process.stdin.drain()

    async def _next(self, timeout_s: float) -> Message:
        process = self._process
        if process is None or process.stdout is None:
            raise WorkerLost("The worker is not running.")
        try:
            async with asyncio.timeout(timeout_s):
                line = await process.stdout.readline()
        except TimeoutError as error:
            _kill(process)
            raise WorkerLost(f"The worker said nothing for {timeout_s:g} s.") from error
        if not line.endswith(b"\n"):
            raise WorkerLost("The worker process ended unexpectedly.")
        try:
            return decode(line)
        except ValueError as error:
            raise WorkerLost("The worker spoke out of turn.") from error


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
