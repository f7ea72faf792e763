"""The worker process, ``python -m layert2v_server.worker.main``: runs jobs on an engine.

Exchanges ``worker.messages`` on standard input and output. It exits at once when its input ends,
which the system does when the server dies, however it dies; on Linux the system also kills it then,
should it be stopped. No orphan goes on.
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
from typing import Any, BinaryIO, cast

import psutil

from layert2v.spec import model_to_json
from layert2v_server.logs import FORMATS, configure_logging, log_request
from layert2v_server.worker.messages import (
    CancelJob,
    Failed,
    Heartbeat,
    LoadFailed,
    Message,
    Ready,
    RunJob,
    decode,
    encode,
)
from layert2v_server.worker.parent_death import end_with_parent
from layert2v_server.worker.runner import Engine, run_job, strip_paths

DEFAULT_ENGINE = "layert2v_engine.engine:Engine"
SHARED_ENGINE = "layert2v_engine.shared_engine:SharedEngine"  # of several devices

_log = logging.getLogger(__name__)


class ServerChannel:
    """The pipes to the server: reads commands in a thread, sends whole messages from any thread."""

    def __init__(self, commands: BinaryIO, messages: BinaryIO) -> None:
        self._input = commands
        self._output = messages
        self._send_lock = threading.Lock()
        self._queue: queue.SimpleQueue[RunJob] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def send(self, message: Message) -> None:
        """Send one message."""
        with self._send_lock:
            self._output.write(encode(message))
            self._output.flush()

    def wait_for_job(self) -> RunJob:
        """Wait for the next job, and return it."""
        return self._queue.get()

    def is_cancelled(self, job: str) -> bool:
        """Tell if the server has cancelled the job."""
        return job in self._cancelled

    def _read(self) -> None:
        for line in self._input:
            command = decode(line)
            if isinstance(command, RunJob):
                self._cancelled.discard(command.job)
                self._queue.put(command)
            elif isinstance(command, CancelJob):
                self._cancelled.add(command.job)
        # The server is gone. No clean-up: unfinished files are in a folder that it will delete.
        os._exit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Load the engine, then run jobs until the input ends."""
    end_with_parent()
    args = _parser().parse_args(argv)
    configure_logging(args.log_format)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its workers
    # Before torch is loaded: on a busy machine, threads that wait by spinning cost a third of the
    # speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    channel = ServerChannel(sys.stdin.buffer, _redirect_stdout())
    try:
        device = choose_device(args.device)
        engine = load_engine(_engine_name(args), args.models, device, **_engine_options(args))
        models = [model_to_json(model) for model in engine.models()]
    except Exception as error:  # whatever the engine raises is reported to the server
        _log.exception("the engine cannot be loaded")
        channel.send(_load_failure(error))
        return 1
    name, memory_bytes = describe_device(device)
    if args.share_with:
        name = f"{1 + len(args.share_with)} x {name}"
    channel.send(Ready(models=models, device=name, memory_bytes=memory_bytes))
    run_jobs(engine, channel, heartbeat_s=args.heartbeat)
    return 0


def run_jobs(engine: Engine, channel: ServerChannel, *, heartbeat_s: float) -> None:
    """Run one job after the other; return when this process should be replaced."""
    while True:
        command = channel.wait_for_job()
        done = threading.Event()
        heartbeats = threading.Thread(
            target=_send_heartbeats, args=(channel, command.job, done, heartbeat_s), daemon=True
        )
        heartbeats.start()
        with log_request(command.request):
            _log.info("job=%s kind=%s", command.job, command.job_kind)
            outcome = run_job(
                engine, command, channel.send, functools.partial(channel.is_cancelled, command.job)
            )
        done.set()
        heartbeats.join()  # nothing may follow the outcome of a job
        channel.send(outcome)
        if isinstance(outcome, Failed) and outcome.worker_exits:
            return


def load_engine(name: str, models: Path | None, device: str, **options: Any) -> Engine:
    """Create the engine of the class ``name``, written as "package.module:Class".

    ``options`` are those of LayerT2V's own engine that were set.
    """
    module, _, attribute = name.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    return cast(Engine, factory(models, device, **options))


def _engine_name(args: argparse.Namespace) -> str:
    return str(args.engine or (SHARED_ENGINE if args.share_with else DEFAULT_ENGINE))


def _engine_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what is set; another engine need not know it."""
    options: dict[str, Any] = {} if args.weights is None else {"weights": args.weights}
    if args.share_with:
        options |= {"devices": args.share_with, "parallel": args.parallel}
    return {**options, "commercial_only": True} if args.commercial_only else options


def choose_device(wanted: str) -> str:
    """Return ``wanted``, or for "auto" the first GPU that torch can use, else the CPU."""
    if wanted != "auto":
        return wanted
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def describe_device(device: str) -> tuple[str, int]:
    """Return the device's name for people, and its memory in bytes."""
    if not device.startswith("cuda"):
        return device, int(psutil.virtual_memory().total)
    import torch

    properties = torch.cuda.get_device_properties(device)
    return str(properties.name), int(properties.total_memory)


def _send_heartbeats(
    channel: ServerChannel, job: str, done: threading.Event, heartbeat_s: float
) -> None:
    while not done.wait(heartbeat_s):
        channel.send(Heartbeat(job=job))


def _redirect_stdout() -> BinaryIO:
    # Libraries print. The pipe to the server must carry messages alone, so they print to the log.
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return messages


def _load_failure(error: Exception) -> LoadFailed:
    reason = str(getattr(error, "reason", "ENGINE_BROKEN"))
    if isinstance(error, ImportError):
        return LoadFailed(
            reason=reason,
            message="The engine is not installed beside this server.",
            hint="Install LayerT2V with its engine extra.",
        )
    message = strip_paths(str(getattr(error, "message", "The engine could not be started.")))
    hint = strip_paths(str(getattr(error, "hint", "The server's log has the details.")))
    return LoadFailed(reason=reason, message=message, hint=hint)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m layert2v_server.worker.main")
    parser.add_argument("--engine", default="", help="module:Class; empty for LayerT2V's own")
    parser.add_argument("--models", type=Path, help="folder of checkpoints")
    parser.add_argument("--weights", type=Path, help="folder with networks of others")
    parser.add_argument("--commercial-only", action="store_true", help="refuse by licence")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0, ...")
    parser.add_argument("--share-with", action="append", default=[], help="a further device")
    parser.add_argument("--parallel", default="ulysses", help="how devices share a job")
    parser.add_argument("--log-format", choices=FORMATS, default=FORMATS[0], help="text or json")
    parser.add_argument("--heartbeat", type=float, default=1.0, help="seconds between heartbeats")
    return parser


if __name__ == "__main__":
    sys.exit(main())
