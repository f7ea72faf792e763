"""The server of this machine that sessions share: started by the first, ended with the last.

All sessions with one data folder find each other through it. A named pipe counts them: every
session holds its writing end, the server reads it and stops when the last end is closed, however
that happened. Knows files and processes, not the calls of the server.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layert2v.atomic_write import atomic_write
from layert2v_client.errors import Cancelled, EmbeddedServerFailed, ServerUnavailable
from layert2v_client.local_server.process import EmbeddedServer

LOCK_NAME = "sessions.lock"
PIPE_NAME = "sessions.pipe"
ADDRESS_NAME = "address.json"
LOCK_POLL_S = 0.1


class SharedServer:
    """This session's share in the server on ``data``; ``release`` gives it up.

    Starts the server where none runs; ``python`` and ``models`` are used only then. Setting
    ``stop`` ends the waiting. Raises ``EmbeddedServerFailed``, ``ServerUnavailable`` where another
    try may succeed, and ``Cancelled``.
    """

    def __init__(
        self, data: Path, *, python: str, models: Path | None, stop: threading.Event
    ) -> None:
        if not hasattr(os, "mkfifo"):
            raise EmbeddedServerFailed(
                "LOCAL_SERVER_UNSUPPORTED",
                "A server of one's own runs on Linux and macOS only.",
                "Name a server on another machine.",
            )
        self._share = -1
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _exclusive_lock(data / LOCK_NAME, stop):
                pipe = data / PIPE_NAME
                if not pipe.exists():
                    os.mkfifo(pipe, 0o600)
                if self._join(pipe):
                    self.address = _known_address(data)
                else:
                    self._start(data, python, models, stop)
        except OSError as error:
            self.release()
            raise EmbeddedServerFailed(
                "LOCAL_SERVER_FAILED",
                f"The local server's folder {data} cannot be used: {error.strerror or error}.",
                "Choose another cache folder, on a local disk.",
            ) from error
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give up the share; the server ends when nobody has one."""
        if self._share >= 0:
            os.close(self._share)
            self._share = -1

    def _join(self, pipe: Path) -> bool:
        """Take a share in a running server; return whether there is one."""
        try:
            self._share = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody reads
                return False
            raise
        return True

    def _start(self, data: Path, python: str, models: Path | None, stop: threading.Event) -> None:
        # Reading first: opening a pipe for writing needs a reader.
        parent_pipe_fd = os.open(data / PIPE_NAME, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._share = os.open(data / PIPE_NAME, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(parent_pipe_fd, True)
            (data / ADDRESS_NAME).unlink(missing_ok=True)
            server = EmbeddedServer(
                data,
                models=models,
                python=python,
                parent_pipe_fd=parent_pipe_fd,
                stop=stop,
            )
        finally:
            os.close(parent_pipe_fd)
        self.address = server.address
        text = json.dumps({"address": server.address, "pid": server.pid})
        atomic_write(data / ADDRESS_NAME, text, durable=False)


def _known_address(data: Path) -> str:
    try:
        return str(json.loads((data / ADDRESS_NAME).read_text())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServerUnavailable(
            "LOCAL_SERVER_ENDING", "The local server is starting or ending.", "Wait a moment."
        ) from error


@contextmanager
def _exclusive_lock(path: Path, stop: threading.Event) -> Iterator[None]:
    """Hold a lock among processes; the system gives it back when this one ends."""
    fcntl: Any = importlib.import_module("fcntl")  # not on Windows, where nothing comes this far
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # another session is starting the server
                if stop.wait(LOCK_POLL_S):
                    raise Cancelled from None
        yield
