"""A Ray cluster of several nodes on this machine, for tests that lose one of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.live_server import environment

OBJECT_STORE_BYTES = 80 << 20  # Ray's smallest
START_TRIES = 4  # Ray gives a node 30 s to start, which a busy machine may not have for it
# A node that is gone refuses connections and is missed after 3 s; a slow one has a minute.
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "6",
}


@contextlib.contextmanager
def ray_cluster() -> Iterator[Any]:
    """Run a cluster: a head without CPUs, and a node with one and a GPU.

    They are numbers here. Callers need its token, which is in the environment. The fakes can be
    imported in all processes of the cluster.
    """
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")  # Ray's own
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        try:
            add_node(cluster, cpus=0, gpus=0, include_dashboard=False)
            add_node(cluster, cpus=1, gpus=1)
            yield cluster
        finally:
            cluster.shutdown()
            os.environ.pop("RAY_ADDRESS", None)


def add_node(cluster: Any, *, cpus: int, gpus: int, **options: Any) -> Any:
    """Start a node, and return it when it is known; the first one is the head."""
    for tries_left in reversed(range(START_TRIES)):
        try:
            return cluster.add_node(
                num_cpus=cpus, num_gpus=gpus, object_store_memory=OBJECT_STORE_BYTES, **options
            )
        except Exception as error:  # Ray has no other class for it
            if not tries_left or "timed out during startup" not in str(error):
                raise
    return None
