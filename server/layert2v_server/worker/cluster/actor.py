"""What runs on a node of the cluster: a worker process, its pipes, and its files where needed.

The worker is the one that ``ProcessExecutor`` starts on the server's machine. This actor knows its
messages as lines, not what they say; bytes, names and numbers are all that it exchanges.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import layert2v
from layert2v_server.worker.cluster.folders import claim_folder, clear_stale_folders

MAX_LINE_BYTES = 16 << 20
CLOSE_GRACE_S = 1.0
EXIT_GRACE_S = 10.0  # of a worker whose lines have ended
MAX_WAITING_LOGS = 1000
LOG, MESSAGE = "log", "message"


class WorkerActor:
    """Runs one worker process; ``start`` comes first."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._lines: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._readers: list[asyncio.Task[None]] = []
        self._folder: Path | None = None

    async def start(self, arguments: Sequence[str], probe: str, token: str) -> dict[str, Any]:
        """Start a worker with ``arguments``; return what the node is.

        ``shared`` tells if it sees the file ``probe``, which holds ``token``, and may write beside
        it.
        """
        facts = {
            "node": platform.node(),
            "version": layert2v.__version__,
            "shared": _sees(Path(probe), token),
        }
        if not facts["shared"]:
            parent = Path(tempfile.gettempdir())
            clear_stale_folders(parent)
            self._folder = claim_folder(parent)
        # -P: a file in the current folder that is called like a package must not be imported.
        command = [sys.executable, "-P", "-m", "layert2v_server.worker.main", *arguments]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=MAX_LINE_BYTES
        )
        for kind, stream in ((MESSAGE, self._process.stdout), (LOG, self._process.stderr)):
            if stream is not None:
                self._readers.append(asyncio.create_task(self._read(kind, stream)))
        return facts

    async def send(self, line: bytes) -> None:
        """Write a command to the worker."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(ConnectionError):  # its end shows in ``receive``
            self._process.stdin.write(line)
            await self._process.stdin.drain()

    async def receive(self) -> list[tuple[str, bytes]]:
        """Wait for lines of the worker; return them with their kinds, none when it has ended."""
        while self._lines.empty() and any(not reader.done() for reader in self._readers):
            waiting = asyncio.create_task(self._lines.get())
            running = [reader for reader in self._readers if not reader.done()]
            await asyncio.wait([waiting, *running], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return [waiting.result(), *self._take_lines()]
            waiting.cancel()
        return self._take_lines()

    async def exit_code(self) -> int | None:
        """Return the exit code of a worker whose lines have ended; None where it goes on."""
        if self._process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_GRACE_S):
                return await self._process.wait()
        return None

    async def close(self) -> None:
        """End the worker, whatever it does, and delete what was copied here."""
        process = self._process
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                async with asyncio.timeout(CLOSE_GRACE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def job_folder(self, job: str) -> str:
        """Return the folder of a job on this node, empty."""
        folder = self._inside(job)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return str(folder)

    async def write_piece(self, place: str, piece: bytes, *, is_first: bool) -> None:
        """Add bytes to a file of a job, or begin it."""
        path = self._inside(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if is_first else "ab") as file:
            file.write(piece)

    async def read_piece(self, place: str, offset: int, size: int) -> bytes:
        """Return at most ``size`` bytes of a file of a job; none at its end."""
        with self._inside(place).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    async def delete_job(self, job: str) -> None:
        """Delete the folder of a job."""
        shutil.rmtree(self._inside(job), ignore_errors=True)

    def _inside(self, place: str) -> Path:
        if self._folder is None:
            raise RuntimeError("this node works in the server's own folder")
        path = self._folder / place
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise ValueError(f"{place} is outside of the folder")
        return path

    async def _read(self, kind: str, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line without an end
                line = b""
            if not line:
                return
            if kind == MESSAGE or self._lines.qsize() < MAX_WAITING_LOGS:
                self._lines.put_nowait((kind, line))

    def _take_lines(self) -> list[tuple[str, bytes]]:
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        return lines


def _sees(probe: Path, token: str) -> bool:
    """Tell if this node has the server's folder: it reads the probe, and writes an answer there."""
    try:
        if probe.read_text(encoding="utf-8") != token:
            return False
        probe.with_suffix(".seen").write_text(token, encoding="utf-8")
        return os.access(probe.parent, os.W_OK)
    except (OSError, ValueError):
        return False
