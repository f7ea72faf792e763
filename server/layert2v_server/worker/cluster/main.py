"""The process that speaks for a worker of a Ray cluster, as ``python -m ...worker.cluster.main``.

Exchanges the same messages with the server as ``worker.main``, and passes them to an actor whose
node runs that. So the server knows no Ray: whatever ends this process, the cluster too, is to it
the end of a worker. ``--list-nodes`` only prints what the nodes have, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import layert2v
from layert2v_server.errors import EngineNotReady, WorkerLost
from layert2v_server.logs import FORMATS, configure_logging
from layert2v_server.worker.cluster.actor import WorkerActor
from layert2v_server.worker.cluster.connection import connect, list_nodes
from layert2v_server.worker.cluster.relay import Output, Relay
from layert2v_server.worker.messages import LoadFailed

PLACE_TIMEOUT_S = 120.0
EXIT_UNUSABLE = 1
PROBE, MAX_PROBE_AGE_S = ".node_", 3600.0

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Connect, start the worker on a node, and pass messages until one side ends."""
    args = _parser().parse_args(argv)
    configure_logging(args.log_format)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its workers
    output = Output()
    commands = CommandReader() if not args.list_nodes else None
    try:
        ray = connect(args.ray)
        if commands is None:
            output.write(json.dumps([asdict(node) for node in list_nodes(ray)]).encode() + b"\n")
            return 0
        return asyncio.run(_work(ray, args, output, commands))
    except EngineNotReady as error:
        output.send(LoadFailed(reason=error.reason, message=error.message, hint=error.hint))
    except WorkerLost as error:
        _log.error("%s", error.message)
    return EXIT_UNUSABLE


class CommandReader:
    """Reads the commands of the server in a thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lines: asyncio.Queue[bytes] | None = None
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def begin(self) -> asyncio.Queue[bytes]:
        """Return the queue of lines, for the running event loop; an empty one is the end."""
        self._lines = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        return self._lines

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._put(line)
        self._put(b"")

    def _put(self, line: bytes) -> None:
        if self._loop is None or self._lines is None:  # the server is gone before there is a worker
            os._exit(0)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)


async def _work(ray: Any, args: argparse.Namespace, output: Output, commands: CommandReader) -> int:
    group = await asyncio.to_thread(_reserve, args.cpus, args.gpus)
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    actor = (
        ray.remote(WorkerActor)
        .options(
            num_cpus=args.cpus,
            num_gpus=args.gpus,
            max_restarts=0,  # the server starts another one, and knows that it is another one
            scheduling_strategy=PlacementGroupSchedulingStrategy(placement_group=group),
        )
        .remote()
    )
    try:
        facts = await _start_worker(ray, actor, args)
        lines = commands.begin()
        relay = Relay(actor, output, is_shared=facts["shared"], heartbeat_s=args.heartbeat)
        await relay.run(lines)
    except ray.exceptions.RayActorError as error:
        what = str(error).partition("\n")[0]
        raise WorkerLost(f"The worker's node or actor was lost: {what}") from error
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            await actor.close.remote()
        ray.kill(actor)
    return 0


def _reserve(cpus: int, gpus: int) -> Any:
    """Return a placement group for all that a worker takes, on one node.

    Raises ``EngineNotReady`` where no node has it free in time.
    """
    from ray.util.placement_group import placement_group

    bundle = {name: count for name, count in (("CPU", cpus), ("GPU", gpus)) if count}
    group = placement_group([bundle], strategy="STRICT_PACK")
    if not group.wait(timeout_seconds=PLACE_TIMEOUT_S):
        raise EngineNotReady(
            f"No node of the Ray cluster has {cpus} CPUs and {gpus} GPUs free for this worker.",
            "It is tried again. Add nodes, or set ray_workers, ray_gpus and ray_cpus.",
        )
    return group


async def _start_worker(ray: Any, actor: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Start the worker on its node, and return the facts of the node."""
    token = uuid.uuid4().hex
    _remove_old_probes(Path(args.data))
    probe = Path(args.data) / f"{PROBE}{token}"
    probe.write_text(token, encoding="utf-8")
    try:
        facts: dict[str, Any] = await actor.start.remote(args.worker, str(probe), token)
        facts["shared"] = facts["shared"] and probe.with_suffix(".seen").exists()
    except ray.exceptions.RayActorError as error:
        what = str(error).strip().rpartition("\n")[2]
        raise EngineNotReady(
            f"A Ray node cannot run a worker: {what}",
            "Install the same LayerT2V, with its extras server and engine, on all nodes.",
        ) from error
    finally:
        for path in (probe, probe.with_suffix(".seen")):
            path.unlink(missing_ok=True)
    if facts["version"] != layert2v.__version__:
        raise EngineNotReady(
            f"The Ray node {facts['node']} has LayerT2V {facts['version']}, this server has "
            f"{layert2v.__version__}.",
            "Install the same version on all nodes.",
        )
    files = "in the server's folder" if facts["shared"] else "copied over Ray"
    _log.info("worker on node=%s, files %s", facts["node"], files)
    return facts


def _remove_old_probes(data: Path) -> None:
    """Delete what a process that was killed at its start has left."""
    for path in data.glob(f"{PROBE}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > MAX_PROBE_AGE_S:
                path.unlink()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m layert2v_server.worker.cluster.main")
    parser.add_argument("--ray", required=True, help="HOST:PORT of the cluster's head, or auto")
    parser.add_argument("--list-nodes", action="store_true", help="print CPUs and GPUs, and end")
    parser.add_argument("--data", default="", help="the server's data folder")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--heartbeat", type=float, default=1.0, help="seconds, while files move")
    parser.add_argument("--log-format", choices=FORMATS, default=FORMATS[0])
    parser.add_argument("worker", nargs="*", help="after --: arguments of worker.main")
    return parser


if __name__ == "__main__":
    sys.exit(main())
