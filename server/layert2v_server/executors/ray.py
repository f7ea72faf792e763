"""Run jobs on the nodes of a Ray cluster: a worker for each GPU, or for each node without any.

The server itself knows no Ray. To it a worker there is a process here that speaks for it, so that a
cluster that breaks down ends that process and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from layert2v_server.config import Config
from layert2v_server.errors import ConfigError
from layert2v_server.executors.base import Executor
from layert2v_server.executors.process import ProcessExecutor, worker_arguments
from layert2v_server.worker.cluster.connection import ANY, NodeSize
from layert2v_server.worker.messages import LoadFailed, decode

LIST_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPlan:
    """How many workers there are, and what each takes of its node."""

    count: int
    cpus: int
    gpus: int


def create_ray_executors(config: Config) -> tuple[Executor, ...]:
    """Return the executors of a cluster. Raises ``ConfigError`` where it cannot be used."""
    address = config.executor.partition(":")[2] or ANY
    command = [sys.executable, "-P", "-m", "layert2v_server.worker.cluster.main"]
    command += ["--ray", address, "--log-format", config.log_format]
    if config.ray_workers:  # they wait for nodes, so none need be there
        gpus = 0 if config.devices == ("cpu",) else config.ray_gpus
        plan = WorkerPlan(count=config.ray_workers, cpus=config.ray_cpus or 1, gpus=gpus)
    else:
        plan = plan_workers(config, _list_nodes(command))
    data = str(config.data.expanduser().resolve())
    command += ["--data", data, "--cpus", str(plan.cpus), "--gpus", str(plan.gpus)]
    command += ["--heartbeat", str(config.heartbeat_s), "--"]
    if not plan.gpus or config.devices == ("cpu",):
        devices = ["cpu"] * config.devices_per_job
    elif config.devices_per_job > 1:  # Ray shows a worker its own GPUs alone
        devices = [f"cuda:{number}" for number in range(config.devices_per_job)]
    else:
        devices = ["auto"]
    return tuple(
        ProcessExecutor(
            f"ray{number}",
            [*command, *worker_arguments(config, devices)],
            heartbeat_timeout_s=config.lease_s,
            cancel_grace_s=config.cancel_grace_s,
            runs_elsewhere=True,
        )
        for number in range(1, plan.count + 1)
    )


def plan_workers(config: Config, nodes: Sequence[NodeSize]) -> WorkerPlan:
    """Return the workers that the nodes have room for. Raises ``ConfigError`` where there is none.

    Where any node has enough GPUs, and the CPU is not asked for, all workers have GPUs.
    """
    wanted = config.ray_gpus
    with_gpus = [node for node in nodes if node.gpus >= wanted]
    if config.devices != ("cpu",) and with_gpus:
        share = min(int(node.cpus * wanted / node.gpus) for node in with_gpus)
        cpus = config.ray_cpus or share
        fits = [node for node in with_gpus if node.cpus >= cpus]
        count = sum(_fit(node.gpus, wanted, node.cpus, cpus) for node in fits)
        plan = WorkerPlan(count=count, cpus=cpus, gpus=wanted)
    else:
        with_cpus = [node.cpus for node in nodes if node.cpus >= 1]
        cpus = config.ray_cpus or int(min(with_cpus, default=0))
        count = sum(int(have // cpus) for have in with_cpus) if cpus else 0
        plan = WorkerPlan(count=count, cpus=cpus, gpus=0)
    if not plan.count or (config.devices == ("cuda",) and not plan.gpus):
        what = "GPUs" if config.devices == ("cuda",) or with_gpus else "CPUs"
        raise ConfigError(
            f"No node of the Ray cluster has the {what} of a worker.",
            "Add nodes, or set ray_gpus and ray_cpus; ray_workers starts without nodes.",
        )
    return plan


def _fit(gpus: float, gpus_each: int, cpus: float, cpus_each: int) -> int:
    count = int(gpus // gpus_each)
    return min(count, int(cpus // cpus_each)) if cpus_each else count


def _list_nodes(command: Sequence[str]) -> list[NodeSize]:
    """Return the nodes of the cluster. Raises ``ConfigError``."""
    try:
        done = subprocess.run(  # noqa: S603  our own module
            [*command, "--list-nodes"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=LIST_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"The Ray cluster did not answer within {LIST_TIMEOUT_S:g} s.",
            "Look at it with `ray status`.",
        ) from error
    if done.returncode == 0:
        return [NodeSize(**node) for node in json.loads(done.stdout)]
    try:
        answer = decode(done.stdout)
    except ValueError:
        answer = None
    if isinstance(answer, LoadFailed):
        raise ConfigError(answer.message, answer.hint)
    raise ConfigError("The Ray cluster cannot be used.", "The lines above have the details.")
