"""The worker process: `python -m layert2v_server.worker.main`. The only place that loads an engine.

Speaks `worker.messages` on standard input and output. It ends itself at once when its input ends,
which the system arranges when the server dies, however it dies: an orphan never works on.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

import psutil

from layert2v.spec import model_to_json
from layert2v_server.worker.messages import (
    Alive,
    Broken,
    Cancel,
    Failed,
    Message,
    Ready,
    Run,
    decode,
    encode,
)
from layert2v_server.worker.runner import Engine, run_job, without_paths

DEFAULT_ENGINE = "layert2v_engine.engine:Engine"

_log = logging.getLogger(__name__)


class Link:
    """The line to the server: reads commands in a thread, sends whole messages from any thread."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._sending = threading.Lock()
        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def send(self, message: Message) -> None:
        """Send one message."""
        with self._sending:
            self._sink.write(encode(message))
            self._sink.flush()

    def next_run(self) -> Run:
        """Wait for a job."""
        return self._runs.get()

    def is_cancelled(self, job: str) -> bool:
        """Whether the server wants the job to stop."""
        return job in self._cancelled

    def _read(self) -> None:
        for line in self._source:
            command = decode(line)
            if isinstance(command, Run):
                self._cancelled.discard(command.job)
                self._runs.put(command)
            elif isinstance(command, Cancel):
                self._cancelled.add(command.job)
        # The server is gone. No clean-up: what is half done is in a folder that it will clear.
        os._exit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Load the engine, then run jobs until the input ends."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its workers
    # Before torch is loaded: threads that wait by spinning lose a third on a machine that is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    link = Link(sys.stdin.buffer, _claim_stdout())
    try:
        device = pick_device(args.device)
        engine = load_engine(args.engine, args.models, device)
        models = [model_to_json(model) for model in engine.models()]
    except Exception as error:  # the border to the engine: the server must hear why
        _log.exception("the engine cannot be loaded")
        link.send(_broken(error))
        return 1
    name, memory_bytes = describe(device)
    link.send(Ready(models=models, device=name, memory_bytes=memory_bytes))
    work(engine, link, heartbeat_s=args.heartbeat)
    return 0


def work(engine: Engine, link: Link, *, heartbeat_s: float) -> None:
    """Run one job after the other; returns when this process should not be trusted any more."""
    while True:
        run = link.next_run()
        done = threading.Event()
        beat = threading.Thread(target=_beat, args=(link, run.job, done, heartbeat_s), daemon=True)
        beat.start()
        ending = run_job(engine, run, link.send, functools.partial(link.is_cancelled, run.job))
        done.set()
        beat.join()  # nothing may follow a job's last message
        link.send(ending)
        if isinstance(ending, Failed) and ending.last:
            return


def load_engine(name: str, models: Path | None, device: str) -> Engine:
    """Make the engine that `name`, as in "package.module:Class", stands for."""
    module, _, attribute = name.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    return cast(Engine, factory(models, device))


def pick_device(wanted: str) -> str:
    """`wanted`, or for "auto" the first GPU that torch can use, else the CPU."""
    if wanted != "auto":
        return wanted
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def describe(device: str) -> tuple[str, int]:
    """The device's name for people, and its memory in bytes."""
    if not device.startswith("cuda"):
        return device, int(psutil.virtual_memory().total)
    import torch

    properties = torch.cuda.get_device_properties(device)
    return str(properties.name), int(properties.total_memory)


def _beat(link: Link, job: str, done: threading.Event, heartbeat_s: float) -> None:
    while not done.wait(heartbeat_s):
        link.send(Alive(job=job))


def _claim_stdout() -> BinaryIO:
    # Libraries print. The line to the server must carry messages alone, so they print to the log.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sink


def _broken(error: Exception) -> Broken:
    reason = str(getattr(error, "reason", "ENGINE_BROKEN"))
    if isinstance(error, ImportError):
        return Broken(
            reason=reason,
            message="The engine is not installed beside this server.",
            hint="Install LayerT2V with its engine extra.",
        )
    message = without_paths(str(getattr(error, "message", "The engine could not be started.")))
    hint = without_paths(str(getattr(error, "hint", "The server's log has the details.")))
    return Broken(reason=reason, message=message, hint=hint)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m layert2v_server.worker.main")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help="module:Class of the engine")
    parser.add_argument("--models", type=Path, help="folder of checkpoints")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0, ...")
    parser.add_argument(
        "--heartbeat", type=float, default=1.0, help="seconds between signs of life"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
