"""Connections are accepted one a turn of the loop, and only so many from one address."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from layert2v_server.web import acceptor
from layert2v_server.web.acceptor import Acceptor

WAITING = 40
STRANGER = "127.0.0.2"


class Greeting(asyncio.Protocol):
    """Says that it is there, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"here")
        transport.close()


class FirstFails(socket.socket):
    """A listener for whose first connection no descriptor is left."""

    has_failed = False

    def accept(self) -> tuple[socket.socket, object]:
        if not self.has_failed:
            self.has_failed = True
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def serve(
    scenario: Callable[[int], Awaitable[None]],
    create_protocol: Callable[[], asyncio.Protocol] = Greeting,
    listener: socket.socket | None = None,
) -> None:
    async def run() -> None:
        with listener or socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(128)
            accepting = asyncio.create_task(Acceptor(sock, create_protocol, None).run())
            try:
                async with asyncio.timeout(20):
                    await scenario(sock.getsockname()[1])
            finally:
                accepting.cancel()

    asyncio.run(run())


async def ask(port: int, address: str = "127.0.0.1") -> bytes:
    """Return what the server says to a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        return await reader.read()
    finally:
        writer.close()


def test_one_address_has_its_share_and_others_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "CONNECTIONS_PER_S", 0.3)

    async def scenario(port: int) -> None:
        assert [await ask(port, STRANGER) for _ in range(5)] == [b"here"] * 3 + [b""] * 2
        assert await ask(port) == b"here"

    serve(scenario)


def test_those_that_come_together_leave_turns_of_the_loop_to_others() -> None:
    turn, begun = 0, Counter[int]()

    def create() -> Greeting:
        begun[turn] += 1
        return Greeting()

    async def scenario(port: int) -> None:
        nonlocal turn
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(WAITING)]
        while begun.total() < WAITING:
            await asyncio.sleep(0)
            turn += 1
        assert max(begun.values()) == 1
        for each in callers:
            each.close()

    serve(scenario, create)


def test_it_waits_for_a_descriptor(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "SHORTAGE_PAUSE_S", 0.01)

    async def scenario(port: int) -> None:
        assert await ask(port) == b"here"

    serve(scenario, listener=FirstFails())
    assert "no connection can be accepted: Too many open files" in caplog.text
