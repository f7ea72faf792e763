"""When a bridge is started, and started again."""

from __future__ import annotations

import pytest

from fakes.nk_session import ScriptedBridge
from layert2v_nuke.errors import BridgeFailed
from layert2v_nuke.session.connection import RESTART_S, Connection, is_final


class Clock:
    """A clock that a test sets, and the bridges that were started."""

    def __init__(self) -> None:
        self.now = 0.0
        self.bridges: list[ScriptedBridge] = []

    def start(self) -> ScriptedBridge:
        self.bridges.append(ScriptedBridge())
        return self.bridges[-1]

    def connection(self) -> Connection:
        return Connection(self.start, lambda: {"server": "render01"}, lambda: self.now)


def fail(clock: Clock, connection: Connection) -> None:
    clock.bridges[-1].failure = BridgeFailed("BRIDGE_ENDED", "The bridge ended.")
    with pytest.raises(BridgeFailed):
        connection.drain()


def test_a_new_bridge_gets_the_settings_once() -> None:
    clock = Clock()
    connection = clock.connection()
    assert (connection.open(), connection.open()) == (True, False)
    assert clock.bridges[0].sent == [{"method": "connect", "settings": {"server": "render01"}}]


def test_without_a_bridge_nothing_is_sent_and_nothing_arrives() -> None:
    connection = Clock().connection()
    assert (connection.send("cancel"), connection.drain(), connection.is_open) == (0, [], False)


def test_each_restart_waits_longer_until_the_bridge_has_connected() -> None:
    clock = Clock()
    connection = clock.connection()
    for delay in (*RESTART_S, RESTART_S[-1]):
        assert connection.open()
        fail(clock, connection)
        clock.now += delay - 0.1
        assert not connection.open()
        clock.now += 0.2
    assert connection.open()
    connection.reset_backoff()
    fail(clock, connection)
    clock.now += RESTART_S[0]
    assert connection.open()


def test_retry_now_does_not_wait() -> None:
    clock = Clock()
    connection = clock.connection()
    connection.open()
    fail(clock, connection)
    connection.retry_now()
    assert connection.open()


@pytest.mark.parametrize(("reason", "final"), [("BRIDGE_NO_PYTHON", True), ("BRIDGE_ENDED", False)])
def test_a_bridge_that_cannot_start_is_not_tried_again(reason: str, final: bool) -> None:
    assert is_final(BridgeFailed(reason, "")) == final
