"""How long the attacks go on, a minute or two by default, and a cluster to lose nodes of."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.ray_cluster import ray_cluster

SHORT_S = 6.0
SHORT_STORM_JOBS = 16
SHORT_SOAK_S = 4.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attack-seconds", type=float, help="for each attack that can go on")
    parser.addoption("--storm-jobs", type=int, help="jobs while processes are killed and frozen")
    parser.addoption("--soak-seconds", type=float, help="for the server that must not grow")


@pytest.fixture(scope="session")
def attack_s(request: pytest.FixtureRequest) -> float:
    """Seconds for each attack that has no end of its own."""
    return float(request.config.getoption("--attack-seconds", default=None) or SHORT_S)


@pytest.fixture(scope="session")
def storm_jobs(request: pytest.FixtureRequest) -> int:
    """Return the number of jobs in a storm."""
    return int(request.config.getoption("--storm-jobs", default=None) or SHORT_STORM_JOBS)


@pytest.fixture(scope="session")
def soak_s(request: pytest.FixtureRequest) -> float:
    """Seconds of a soak."""
    return float(request.config.getoption("--soak-seconds", default=None) or SHORT_SOAK_S)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Return a Ray cluster, to which a test adds the node that it kills."""
    if importlib.util.find_spec("ray") is None:  # not imported: it reads its settings when it is
        pytest.skip("Ray (the extra ray) is not installed")
    with ray_cluster() as cluster:
        yield cluster
