"""A real server with the fake engine, a client of it, and a stack that it has made."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.live_server import LiveServer, live_server
from layert2v.spec import GenerateSpec
from layert2v_client import Client, connect


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("live") / "data") as server:
        yield server


@pytest.fixture
def client(live: LiveServer) -> Iterator[Client]:
    with connect(live.ready["address"]) as connected:
        yield connected


@pytest.fixture
def fox(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a new stack, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    # The seed differs: with equal ones the server would hold what another test has made.
    job = client.submit(GenerateSpec(prompt="a fox", seed=uuid.uuid4().int % 2**31))
    job.wait()
    return job.download(tmp_path / "fox")
