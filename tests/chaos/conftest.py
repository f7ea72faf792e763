"""How long the attacks go on: two minutes in all by default, longer with ``make chaos``."""

from __future__ import annotations

import pytest

SHORT_S = 15.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attack-seconds", type=float, help="for each attack that can go on")


@pytest.fixture(scope="session")
def attack_s(request: pytest.FixtureRequest) -> float:
    """Seconds for each attack that has no end of its own."""
    return float(request.config.getoption("--attack-seconds", default=None) or SHORT_S)
