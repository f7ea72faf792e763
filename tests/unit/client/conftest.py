"""A scripted server and a client that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.scripted_server import Script, ScriptedServer
from layert2v_client import Client, connect


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[ScriptedServer]:
    scripted = ScriptedServer(script)
    scripted.start()
    yield scripted
    scripted.stop()


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with connect(server.address) as connected:
        yield connected
