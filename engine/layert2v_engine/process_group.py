"""Processes on this machine that compute together: started, spoken to, watched and ended.

Knows torch.distributed, not what is computed. They meet over a file that this user alone can read,
and exchange over the loopback interface; on GPUs tensors go by NCCL.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from layert2v_engine.errors import EngineError
from layert2v_engine.model.parallel import value_of_first

# An idle process waits for a run in an exchange, for as long as nobody asks for one.
IDLE = timedelta(days=365)
NOTICE_S = 10.0  # after which an exchange with a process that has ended must have failed by itself
EXIT_GRACE_S = 1.0  # between the end of a process's connections and its own
EXIT_LOST = 70
FAILURE = "failure.json"

_log = logging.getLogger(__name__)

# (device, how to wait for what the first process sends, setup): the work of the other processes.
Assist = Callable[[str, Callable[[], Any], dict[str, Any]], None]


class ProcessGroup:
    """This process and one more for each of the further ``devices``, which run ``assist``.

    One group at a time can be open in a process.
    """

    def __init__(self, devices: Sequence[str], assist: Assist, setup: dict[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="layert2v_group_")
        folder, size = Path(self._folder.name), len(devices)
        context = multiprocessing.get_context("spawn")
        self._others: list[BaseProcess] = [
            context.Process(
                target=_run_other,
                args=(assist, devices, rank, folder, setup),
                daemon=True,
                name=f"layert2v-{rank}",
            )
            for rank in range(1, size)
        ]
        self._is_open = False
        self._failure: EngineError | None = None
        try:
            for process in self._others:
                process.start()
            _join(devices, 0, folder)
            self._is_open = True
        except BaseException:
            self.close()
            raise

    def send(self, value: Any) -> None:
        """Send what JSON can say to all other processes."""
        value_of_first(value)

    @contextlib.contextmanager
    def watch_others(self) -> Iterator[None]:
        """End this process where another one ends during the block, and nothing else notices.

        Exchanges on GPUs may wait for ever for a process that is gone.
        """
        done = threading.Event()
        sentinels = [process.sentinel for process in self._others]

        def watch() -> None:
            while not done.is_set():
                if wait(sentinels, timeout=0.5) and not done.wait(NOTICE_S):
                    _log.error("another process of this run has ended; so does this one")
                    os._exit(EXIT_LOST)

        thread = threading.Thread(target=watch, name="group", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def end_like_others(self) -> None:
        """End this process by the signal that has ended another one, if any has.

        Whoever watches this process learns what happened, as of one that works alone.
        """
        wait([process.sentinel for process in self._others], timeout=EXIT_GRACE_S)
        codes = [process.exitcode or 0 for process in self._others]
        if min(codes) < 0:
            _log.error("another process of this run was ended by signal %d", -min(codes))
            os.kill(os.getpid(), -min(codes))

    def failure(self) -> EngineError | None:
        """Return what ended another process, where it could say; known once the group is closed."""
        return self._failure

    def close(self) -> None:
        """End the other processes, whatever they do."""
        for process in self._others:
            if process.pid is not None:
                process.kill()
        for process in self._others:
            if process.pid is not None:
                process.join()
        if self._is_open:
            self._is_open = False
            dist.destroy_process_group()
        self._failure = _read_failure(Path(self._folder.name) / FAILURE)
        self._folder.cleanup()


def _run_other(
    assist: Assist, devices: Sequence[str], rank: int, folder: Path, setup: dict[str, Any]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides when to stop
    _join(devices, rank, folder)
    try:
        assist(devices[rank], lambda: value_of_first(None), setup)
    except EngineError as error:
        failure = {"reason": error.reason, "message": error.message, "hint": error.hint}
        (folder / FAILURE).write_text(json.dumps(failure), encoding="utf-8")
        os._exit(1)
    except RuntimeError:  # the first process has ended, or closed the group
        os._exit(0)


def _join(devices: Sequence[str], rank: int, folder: Path) -> None:
    """Join the group of ``folder`` as the process of that number."""
    if sys.platform == "linux":  # elsewhere it has another name, and gloo asks for the host's
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    is_on_gpus = devices[rank].startswith("cuda")
    if is_on_gpus:
        torch.cuda.set_device(devices[rank])
    else:  # processes that each take all cores would wait for each other
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // len(devices)))
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if is_on_gpus else "gloo",
        init_method=(folder / "store").as_uri(),
        rank=rank,
        world_size=len(devices),
        timeout=IDLE,
    )


def _read_failure(path: Path) -> EngineError | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return EngineError(found["message"], found["hint"], reason=found["reason"])
    except (OSError, ValueError, KeyError):
        return None
