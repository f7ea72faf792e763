"""Passes messages between the server and a worker on a node, and copies files around a job."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

from layert2v_server.worker.cluster.actor import MESSAGE
from layert2v_server.worker.cluster.copies import JobCopies
from layert2v_server.worker.messages import (
    Failed,
    Finished,
    Heartbeat,
    Message,
    ProgressReport,
    RunJob,
    Stopped,
    WorkerEnded,
    decode,
    encode,
)
from layert2v_server.worker.runner import outcome_of_error


class Output:
    """The pipe to the server; whatever else is printed in this process goes to the log."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message."""
        self.write(encode(message))

    def write(self, line: bytes) -> None:
        """Write one line."""
        with self._lock:
            self._pipe.write(line)
            self._pipe.flush()


class Relay:
    """Between ``output`` and the worker of ``actor``, until one side ends."""

    def __init__(self, actor: Any, output: Output, *, is_shared: bool, heartbeat_s: float) -> None:
        self._actor, self._output, self._heartbeat_s = actor, output, heartbeat_s
        self._is_shared = is_shared
        self._copies: JobCopies | None = None  # of the running job, where files are copied

    async def run(self, lines: asyncio.Queue[bytes]) -> None:
        """Return when the server has closed its end or the worker has ended.

        Of a worker that ended by itself the server gets the exit code.
        """
        tasks = [
            asyncio.create_task(self._pass_commands(lines)),
            asyncio.create_task(self._pass_messages()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if tasks[1] in done and tasks[0] not in done:
                code = await self._actor.exit_code.remote()
                if code is not None:
                    self._output.send(WorkerEnded(exit_code=code))
        finally:
            for task in tasks:
                task.cancel()

    async def _pass_commands(self, lines: asyncio.Queue[bytes]) -> None:
        while line := await lines.get():
            command = decode(line)
            if not self._is_shared and isinstance(command, RunJob):
                await self._begin(command)
            else:
                await self._actor.send.remote(line)

    async def _pass_messages(self) -> None:
        while received := await self._actor.receive.remote():
            for kind, line in received:
                if kind != MESSAGE:
                    sys.stderr.buffer.write(line)
                    sys.stderr.flush()
                elif self._copies is None:
                    self._output.write(line)
                else:
                    await self._bring(self._copies, decode(line))

    async def _begin(self, command: RunJob) -> None:
        """Copy the inputs of a job, then let it run on the node."""
        copies = JobCopies(self._actor, command)
        async with self._heartbeats(command.job):
            try:
                there = await copies.send()
            except OSError as error:  # a disk, here or there
                self._output.send(outcome_of_error(command.job, error))
                return
        self._copies = copies
        await self._actor.send.remote(encode(there))

    async def _bring(self, copies: JobCopies, message: Message) -> None:
        """Copy what a message speaks of, then send it."""
        if isinstance(message, ProgressReport | Finished) and message.preview:
            with contextlib.suppress(OSError):  # it is optional
                await copies.fetch_preview()
        if isinstance(message, Finished):
            async with self._heartbeats(message.job):
                try:
                    await copies.fetch_stack(message)
                except OSError as error:
                    message = outcome_of_error(message.job, error)
        if isinstance(message, Finished | Failed | Stopped):
            self._copies = None
            await copies.delete()
        self._output.send(message)

    @contextlib.asynccontextmanager
    async def _heartbeats(self, job: str) -> AsyncGenerator[None, None]:
        """Tell the server meanwhile that this process is alive: files may take a while."""

        async def send() -> None:
            while True:
                await asyncio.sleep(self._heartbeat_s)
                self._output.send(Heartbeat(job=job))

        task = asyncio.create_task(send())
        try:
            yield
        finally:
            task.cancel()
