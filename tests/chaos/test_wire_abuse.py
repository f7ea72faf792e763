"""Strangers who abuse the ports below the contract: calls and pages of others stay fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.list_latency import latency
from fakes.live_server import LiveServer, live_server
from fakes.server_bounds import assert_bounded_memory, assert_fast
from fakes.wire_abuse import CALL_KINDS, CONNECTIONS, PAGE_KINDS, abuse
from layert2v_server.auth import add_entry, make_token

pytestmark = pytest.mark.chaos

TOKEN, ENTRY = make_token("anna")
SHORT_S, MAX_S = 1.5, 20.0
CI_ATTACK_S = 15.0
SHORT_KINDS = {"rapid-reset", "page-silent"}  # the others are a part of make chaos


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("wire")
    add_entry(folder / "tokens", ENTRY)
    settings = {"token_file": str(folder / "tokens"), "web_address": "127.0.0.1:0"}
    with live_server(folder / "data", **settings) as server:
        server.connect(TOKEN)
        yield server


@pytest.fixture
def seconds(attack_s: float, kind: str) -> float:
    if attack_s <= CI_ATTACK_S and kind not in SHORT_KINDS:
        pytest.skip("this kind is a part of make chaos")
    return min(max(SHORT_S, attack_s / 10), MAX_S)


@pytest.mark.parametrize("kind", CALL_KINDS)
def test_calls_of_others_stay_fast(server: LiveServer, kind: str, seconds: float) -> None:
    address = server.ready["address"]
    with (
        assert_bounded_memory(server, more_descriptors=CONNECTIONS),
        latency(address, token=TOKEN) as found,
        abuse(kind, address, seconds),
    ):
        pass
    assert_fast(found)


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_the_page_stays_open_to_others(server: LiveServer, kind: str, seconds: float) -> None:
    page = server.ready["web"]
    with (
        assert_bounded_memory(server, more_descriptors=CONNECTIONS),
        latency(server.ready["address"], token=TOKEN) as calls,
        latency(page, page=True) as pages,
        abuse(kind, page, seconds),
    ):
        pass
    assert_fast(calls)
    assert_fast(pages)


def test_nothing_of_it_stays(server: LiveServer) -> None:
    assert server.wait_for_end(server.submit().name).artifact_count
    log = server.log.read_text()
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:5000]
