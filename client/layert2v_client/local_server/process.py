"""A server as a child process on this machine.

Knows the command line of ``layert2v_server`` and the line it prints when it is ready; never imports
it.
"""

from __future__ import annotations

import io
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

from layert2v_client.errors import Cancelled, EmbeddedServerFailed, InvalidRequest, JobCancelled

READY_TIMEOUT_S = 120.0
READY_POLL_S = 0.1
STOP_TIMEOUT_S = 15.0
LOG_NAME = "server.log"
ERROR_PREFIX = "layert2v-server: "  # of the line with which a server ends that cannot start
CALLS_NAME = "calls"
KEEP_FAILED_S = 7 * 86400.0


class EmbeddedServer(AbstractContextManager["EmbeddedServer"]):
    """A running server process. In a ``with`` block, or ended by ``stop``.

    Jobs and their files stay in ``data``; a later server with the same folder finds them again.
    ``python`` is the interpreter that has the server, empty for this one. The server ends with this
    process, or, where ``parent_pipe_fd`` is given, at the end of that file descriptor. Setting
    ``stop`` ends the waiting for it. Raises ``EmbeddedServerFailed`` where it does not start,
    ``Cancelled``.
    """

    def __init__(
        self,
        data: Path,
        *,
        models: Path | None = None,
        python: str = "",
        parent_pipe_fd: int | None = None,
        stop: threading.Event | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        self.log = data / LOG_NAME
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._log_start = log.tell()  # the log of earlier servers comes before
                command = _serve_command(data, models, python)
                self._process = _start_process(command, parent_pipe_fd, log)
        except OSError as error:
            raise EmbeddedServerFailed(
                "EMBEDDED_SERVER_FAILED",
                f"The embedded server cannot start: {error.strerror} ({error.filename}).",
                "Name another folder as data in the [client] table of LAYERT2V_CONFIG.",
            ) from error
        try:
            self.address = self._wait_until_ready(timeout_s, stop or threading.Event())
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def stop(self) -> None:
        """End the server with SIGTERM, and kill it if it does not end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except BaseException as error:  # also Ctrl-C: the caller goes on as if it had ended
                self._process.kill()
                self._process.wait()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _wait_until_ready(self, timeout_s: float, stop: threading.Event) -> str:
        addresses: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # The thread reads to the end, so that the server never waits for a full pipe.
        threading.Thread(target=_listen, args=(self._process, addresses), daemon=True).start()
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with suppress(queue.Empty):
                address = addresses.get(timeout=READY_POLL_S)
                if address is None:
                    raise self._failure(f"ended at once: {self._reason()}")
                return address
            if stop.is_set():
                raise Cancelled
        raise self._failure(f"did not start within {timeout_s:g} seconds")

    def _failure(self, what: str) -> EmbeddedServerFailed:
        return EmbeddedServerFailed(
            "EMBEDDED_SERVER_FAILED",
            f"The embedded server {what}.",
            f"Read {self.log}, or use a running server with --server.",
        )

    def _reason(self) -> str:
        self._process.wait(STOP_TIMEOUT_S)
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return _reason_in(log.read().decode(errors="replace"))


def _reason_in(log: str) -> str:
    """Return why a server ended: its last error, or what was written last.

    Another server on the same folder may be writing to the same log.
    """
    lines = [line.strip() for line in log.split("\n") if line.strip()] or ["it said nothing"]
    errors = [line for line in lines if line.startswith(ERROR_PREFIX)]
    return (errors or lines)[-1].removeprefix(ERROR_PREFIX).rstrip(".")


def _serve_command(data: Path, models: Path | None, python: str) -> list[str]:
    # -P: a file in the artist's folder that is called like a package must not be imported.
    command = [python or sys.executable, "-P", "-m", "layert2v_server", "serve"]
    command += ["--address", "127.0.0.1:0", "--data", str(data), "--until-stdin-ends"]
    return command if models is None else [*command, "--models", str(models)]


def _start_process(
    command: list[str], parent_pipe_fd: int | None, log: IO[bytes]
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603
        command,
        # A pipe ends with this process, however that ends.
        stdin=subprocess.PIPE if parent_pipe_fd is None else parent_pipe_fd,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        # Its own session: Ctrl-C in a terminal must reach the job first, not the server.
        start_new_session=True,
    )


@contextmanager
def temporary_server(root: Path, *, models: Path | None = None) -> Iterator[EmbeddedServer]:
    """Yield a server on a data folder of its own below ``root``, so that calls do not share one.

    The folder is removed after the call. After a failure it stays for a week, with the log and a
    stack that could not be downloaded; later calls remove it. Raises ``EmbeddedServerFailed``.
    """
    calls = root / CALLS_NAME
    _remove_old(calls)
    data = calls / f"{time.strftime('%Y%m%d_%H%M%S')}_{uuid.uuid4().hex[:8]}"
    try:
        with EmbeddedServer(data, models=models) as server:
            yield server
    except (InvalidRequest, JobCancelled, KeyboardInterrupt):
        shutil.rmtree(data, ignore_errors=True)
        raise
    shutil.rmtree(data, ignore_errors=True)


def _remove_old(calls: Path) -> None:
    for folder in calls.glob("*_*"):
        with suppress(OSError):  # another call may be removing the same one
            if folder.stat().st_mtime < time.time() - KEEP_FAILED_S:
                shutil.rmtree(folder)


def _listen(process: subprocess.Popen[str], addresses: queue.SimpleQueue[str | None]) -> None:
    """Put the address of the ready line into ``addresses``, and None at the end of the output.

    It also waits for the end of the process, which leaves no zombie.
    """
    with process.stdout or io.StringIO() as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # some other line
                addresses.put(json.loads(line)["address"])
    addresses.put(None)
    process.wait()
