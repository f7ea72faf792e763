"""One server in this process for each test of the services."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.inline_server import FlakyExecutor, InlineServer


@pytest.fixture
def executor() -> FlakyExecutor:
    return FlakyExecutor()


@pytest.fixture
def server(tmp_path: Path, executor: FlakyExecutor) -> InlineServer:
    return InlineServer(tmp_path, executor)
