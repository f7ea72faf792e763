"""Run jobs in a worker process of one device. A crash there is an exception here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence

from layert2v_server.config import Config
from layert2v_server.errors import EngineNotReady, ServerError, WorkerDied, WorkerLost
from layert2v_server.executors.base import Executor
from layert2v_server.worker.messages import (
    CancelJob,
    Failed,
    Finished,
    LoadFailed,
    Message,
    Ready,
    Report,
    RunJob,
    Stopped,
    WorkerEnded,
    decode,
    encode,
)

MAX_LINE_BYTES = 16 << 20  # the outcome of a job lists every file: 200 bytes each
START_TIMEOUT_S = 300.0
CLOSE_GRACE_S = 2.0
KILL_GRACE_S = 10.0
MAX_LATE = 1.5  # times a timeout: where more has passed, this process was frozen itself
# Somebody sends these, as a machine that shuts down does; a job that breaks its worker does not.
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)}

# What a worker does not need, and its engine must not find.
SECRETS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})

_log = logging.getLogger(__name__)


def device_groups(config: Config) -> list[tuple[str, ...]]:
    """Return the devices of each worker on this machine, in the order of the settings."""
    size = config.devices_per_job
    return [config.devices[at : at + size] for at in range(0, len(config.devices), size)]


def worker_command(config: Config, devices: Sequence[str]) -> list[str]:
    """Return the command line of a worker on this machine."""
    # -P: a file in the current folder that is called like a package must not be imported.
    command = [sys.executable, "-P", "-m", "layert2v_server.worker.main"]
    return [*command, *worker_arguments(config, devices)]


def worker_environment() -> dict[str, str]:
    """Return the environment of this process without its credentials."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def worker_arguments(config: Config, devices: Sequence[str]) -> list[str]:
    """Return the arguments of a worker on ``devices``; what is empty takes its default."""
    device, *others = devices
    arguments = ["--device", device, "--heartbeat", str(config.heartbeat_s)]
    for other in others:
        arguments += ["--share-with", other]
    if others:
        arguments += ["--parallel", config.parallel]
    if config.engine:
        arguments += ["--engine", config.engine]
    if config.models is not None:
        arguments += ["--models", str(config.models)]
    if config.weights is not None:
        arguments += ["--weights", str(config.weights)]
    if config.commercial_only:
        arguments += ["--commercial-only"]
    if config.log_format:
        arguments += ["--log-format", config.log_format]
    return arguments


class ProcessExecutor(Executor):
    """Runs ``command`` and exchanges ``worker.messages`` with it over pipes.

    A worker that sends nothing for ``heartbeat_timeout_s``, or goes on for ``cancel_grace_s`` after
    a cancel, is killed. Where it ``runs_elsewhere``, the command only speaks for it: its own end
    says nothing of the job.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        heartbeat_timeout_s: float,
        cancel_grace_s: float,
        runs_elsewhere: bool = False,
    ) -> None:
        super().__init__(name)
        self._runs_elsewhere = runs_elsewhere
        self._command = tuple(command)
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._cancel_grace_s = cancel_grace_s
        self._process: Process | None = None
        self._running_job = ""
        self._cancelled_job = ""  # the one that was cancelled last
        self._kill_timer: asyncio.TimerHandle | None = None

    async def ensure_ready(self) -> Ready:
        if self.worker_info is not None and self._is_running():
            return self.worker_info
        await self.close()
        try:
            self.worker_info = await self._start_worker()
        except Exception as error:  # also what the system raises where it has no process to give
            self.startup_error = error if isinstance(error, ServerError) else _start_error(error)
            await self.close()
            raise self.startup_error from error
        self.startup_error = None
        return self.worker_info

    async def run(self, command: RunJob) -> AsyncGenerator[Report, None]:
        self._running_job = command.job
        ended = False
        try:
            await self._send(command)
            if self._cancelled_job == command.job:
                self.cancel(command.job)
            while not ended:
                message = await self._receive(self._heartbeat_timeout_s)
                if not isinstance(message, Report) or message.job != command.job:
                    raise WorkerLost("The worker sent an unexpected message.")
                ended = isinstance(message, Finished | Failed | Stopped)
                if isinstance(message, Failed) and message.worker_exits:
                    await self.close()
                yield message
        finally:
            self._running_job = ""
            if self._kill_timer is not None:
                self._kill_timer.cancel()
                self._kill_timer = None
            if not ended:  # its state is unknown
                await self.close()

    def cancel(self, job: str) -> None:
        self._cancelled_job = job
        process = self._process
        if job != self._running_job or process is None or process.stdin is None:
            return
        process.stdin.write(encode(CancelJob(job=job)))
        if self._kill_timer is None:
            loop = asyncio.get_running_loop()
            self._kill_timer = loop.call_later(self._cancel_grace_s, _kill, process)

    async def close(self) -> None:
        process, self._process, self.worker_info = self._process, None, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # the worker exits when its input ends
        try:
            async with asyncio.timeout(CLOSE_GRACE_S):
                await process.wait()
        except TimeoutError:
            _kill(process)
        # A child of its own may hold the other ends of its pipes, which asyncio would wait for.
        process._transport.close()  # type: ignore[attr-defined]
        try:
            # Not for ever: a call of the system that hangs, as on a disk that is gone, cannot be
            # killed, and the device must not wait for it.
            async with asyncio.timeout(KILL_GRACE_S):
                await process.wait()
        except TimeoutError:
            _log.error("executor=%s pid=%d does not end", self.name, process.pid)

    async def _start_worker(self) -> Ready:
        _log.info("executor=%s starting a worker", self.name)
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            limit=MAX_LINE_BYTES,
            env=worker_environment(),
            start_new_session=True,  # a terminal's Ctrl-C reaches the server alone
        )
        message = await self._receive(START_TIMEOUT_S)
        if isinstance(message, LoadFailed):
            raise EngineNotReady(message.message, message.hint)
        if not isinstance(message, Ready):
            raise WorkerLost("The worker sent an unexpected message.")
        _log.info("executor=%s pid=%d device=%s", self.name, self._process.pid, message.device)
        return message

    def _is_running(self) -> bool:
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

    async def _receive(self, timeout_s: float) -> Message:
        process = self._process
        if process is None or process.stdout is None:
            raise WorkerLost("The worker is not running.")
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                line = await process.stdout.readline()
        except TimeoutError as error:
            _kill(process)
            if self._runs_elsewhere or time.monotonic() - began > MAX_LATE * timeout_s:
                raise WorkerLost(f"The worker sent nothing for {timeout_s:g} s.") from error
            raise WorkerDied(f"sent nothing for {timeout_s:g} s and was killed") from error
        except ValueError as error:  # a line without an end
            raise WorkerLost("The worker sent an unexpected message.") from error
        if not line.endswith(b"\n"):
            raise await self._end_error(process)
        try:
            message = decode(line)
        except ValueError as error:
            raise WorkerLost("The worker sent an unexpected message.") from error
        if isinstance(message, WorkerEnded):
            raise _error_of_exit(message.exit_code)
        return message

    async def _end_error(self, process: Process) -> WorkerLost:
        """Return the error of a worker whose output has ended."""
        if self._runs_elsewhere:
            return WorkerLost("The connection to the worker's node was lost.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE_S):
                return _error_of_exit(await process.wait())
        return WorkerLost("The worker process closed its output.")


def _error_of_exit(code: int) -> WorkerLost:
    """Return the error of a worker that ended; ``code`` as ``Popen.returncode``."""
    if code >= 0:
        return WorkerDied(f"ended with exit code {code}")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    if -code in _STOP_SIGNALS:
        return WorkerLost(f"The worker process was told to end by {name}.")
    cause = f"was ended by signal {-code} ({name})"
    if name == "SIGKILL":
        cause += ", which the system sends where its memory has run out"
    return WorkerDied(cause)


def _start_error(error: Exception) -> EngineNotReady:
    what = getattr(error, "strerror", None) or type(error).__name__
    return EngineNotReady(f"The worker cannot be started: {what}.", "It is tried again.")


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
