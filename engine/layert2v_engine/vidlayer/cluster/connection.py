"""The connection to a Ray cluster, or to one of its own on this machine meanwhile."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layert2v_engine.errors import EngineError

# Ray's smallest: pictures go over the disk that nodes share, and its memory holds names alone.
OBJECT_STORE_BYTES = 80 << 20
CONNECT_TIMEOUT_S = 10.0
TRIES = "4"  # a second each: whoever listens there takes the token, or never does
_START = "Start one with `ray start --head`, or leave the address out."


@contextmanager
def connect(address: str | None) -> Iterator[Any]:
    """Yield the module ``ray``, connected to the cluster at HOST:PORT or to one of its own.

    Nothing is reported to anybody, and there is no dashboard. Raises ``EngineError``.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported
    if address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # as Ray does it here, with a warning
    else:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", TRIES)
    ray = _import_ray()
    if ray.is_initialized():  # by the program that this is a part of
        yield ray
        return
    _init(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise EngineError(
            f"Ray cannot be used: {error}.",
            "Install LayerT2V with its extra `ray`, or build without --ray.",
            reason="NO_RAY",
        ) from error
    return ray


def _init(ray: Any, address: str | None) -> None:
    own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    if address is not None:
        _check_address(address)
    try:
        ray.init(
            address=address or "local",
            log_to_driver=True,
            logging_level="WARNING",
            **({} if address else own),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"The Ray cluster at {address}" if address else "A Ray cluster on this machine"
        raise EngineError(
            f"{where} cannot be used: {_cause_of(error)}",
            "It needs the same Ray and Python as here, a node of it on this machine, and its token "
            "where it has one; see docs/ray.md.",
            reason="CLUSTER_UNUSABLE",
        ) from error


def _cause_of(error: Exception) -> str:
    """Return what Ray says in a line; that the token is wrong is only in what caused it."""
    if "AuthenticationError" in f"{error!r} {error.__cause__!r}":
        return "it does not take this token."
    return str(error).strip().partition("\n")[0]


def _check_address(address: str) -> None:
    """Raise ``EngineError`` where nobody listens; Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise EngineError(
            f"{address!r} is no address of a Ray cluster.",
            "Write HOST:PORT of its head, such as 10.0.0.1:6379.",
            reason="NO_CLUSTER",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"No Ray cluster answers at {address}: {error}.", _START, reason="NO_CLUSTER"
        ) from error
