"""The viewer of a stack, made when somebody first looks at it, by a process of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from layert2v_server.errors import ServerError
from layert2v_server.executors.process import worker_environment
from layert2v_server.service.callers import CallerLimit

FILES = {  # what the engine writes, and its type
    "index.html": "text/html; charset=utf-8",
    "viewer.css": "text/css; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
}
INDEX = "index.html"
TIMEOUT_S = 300.0

_log = logging.getLogger(__name__)


class ViewerFailed(ServerError):
    """The viewer of a stack cannot be made."""

    reason = "VIEWER_FAILED"


class ViewerMaker:
    """Makes one viewer at a time: it reads every frame of a stack.

    Of each user one waits for its turn, however many they ask for: nobody else waits for those.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(1)
        self._limit = CallerLimit(per_connection=1, per_user=1)

    async def make(
        self, open_stack: Callable[[], AbstractAsyncContextManager[Path]], out: Path
    ) -> None:
        """Make the viewer of a stack in ``out`` unless it is there. Raises ``ViewerFailed``."""
        if (out / INDEX).is_file():
            return
        release = await self._limit.acquire()
        try:
            async with self._turn:
                if (out / INDEX).is_file():
                    return
                async with open_stack() as stack:
                    await self._run(stack, out)
        finally:
            release()

    async def _run(self, stack: Path, out: Path) -> None:
        # -P: a file in the current folder that is called like a package must not be imported.
        command = [sys.executable, "-P", "-m", "layert2v_engine", "preview", str(stack)]
        process = await asyncio.create_subprocess_exec(
            *command,
            "--web",
            str(out),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            env={**worker_environment(), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                code = await process.wait()
        except TimeoutError:
            code = -1
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code != 0:
            _log.error("the viewer of %s could not be made, exit code %d", stack.parent.name, code)
            shutil.rmtree(out, ignore_errors=True)
            raise ViewerFailed(
                "The layers of this job cannot be shown here.",
                "Fetch the stack and look at it there: layert2v fetch JOB.",
            )
