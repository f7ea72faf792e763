"""The connection to a Ray cluster, and what its nodes have. Nothing is reported to anybody."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from layert2v_server.errors import EngineNotReady

ANY = "auto"  # the cluster that this machine is a node of
CONNECT_TIMEOUT_S = 10.0
TRIES = "4"  # a second each: whoever listens there takes the token, or never does


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSize:
    """The CPUs and GPUs of a node."""

    cpus: float
    gpus: float


def connect(address: str) -> Any:
    """Return the module ``ray``, connected to the cluster at HOST:PORT or ``auto``.

    Raises ``EngineNotReady``.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", TRIES)
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise EngineNotReady(
            f"Ray cannot be used here: {error}.", "Install LayerT2V with its extra ray."
        ) from error
    if address != ANY:
        _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="WARNING")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if "any running Ray instance" in str(error):
            raise EngineNotReady(
                "This machine is no node of a running Ray cluster.",
                "Join one with `ray start --address=HOST:PORT`; see docs/ray.md.",
            ) from error
        where = "on this machine" if address == ANY else f"at {address}"
        raise EngineNotReady(
            f"The Ray cluster {where} cannot be used: {_cause_of(error)}",
            "This machine must be a node of it, with the same Ray and Python, and with its token "
            "where it has one; see docs/ray.md.",
        ) from error
    return ray


def list_nodes(ray: Any) -> list[NodeSize]:
    """Return the nodes that are there."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [NodeSize(cpus=each.get("CPU", 0), gpus=each.get("GPU", 0)) for each in resources]


def _cause_of(error: Exception) -> str:
    """Return what Ray says in a line; that the token is wrong is only in what caused it."""
    if "AuthenticationError" in f"{error!r} {error.__cause__!r}":
        return "it does not take this token."
    return str(error).strip().partition("\n")[0]


def _check_address(address: str) -> None:
    """Raise ``EngineNotReady`` where nobody listens; Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise EngineNotReady(
            f"No Ray cluster answers at {address}: {error}.",
            "Start its head with `ray start --head`, or name another one with --executor.",
        ) from error
