"""The HTTP server: slow senders are ended, slow answers are not, a taken address is refused."""

from __future__ import annotations

import asyncio
import socket

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from layert2v_server.errors import ConfigError
from layert2v_server.web import http_connection
from layert2v_server.web.http_server import serve_http

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
TIMEOUT_S = 0.5
READ_TIMEOUT_S = 30.0


async def _answer(request: Request) -> PlainTextResponse:
    await asyncio.sleep(3 * TIMEOUT_S)
    return PlainTextResponse("late but whole")


APP = Starlette(routes=[Route("/", _answer)])


async def _send(address: str, data: bytes) -> bytes:
    """Return what comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    writer.write(data)
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await reader.read()
    finally:
        writer.close()


def test_a_slow_sender_is_ended_and_a_slow_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEAD_TIMEOUT_S", TIMEOUT_S)

    async def scenario() -> None:
        async with serve_http(APP, "127.0.0.1:0", None, "web_address") as address:
            assert await _send(address, HEAD) == b""  # never ends its head
            assert await _send(address, b"") == b""
            answer = await _send(address, HEAD + b"\r\n")  # and then stays silent
            assert answer.endswith(b"late but whole")
            half = HEAD + b"\r\n" + HEAD  # a second request that never ends
            assert (await _send(address, half)).count(b"late but whole") == 1

    asyncio.run(scenario())


def test_a_taken_address_is_one_sentence() -> None:
    async def scenario(port: int) -> None:
        async with serve_http(APP, f"127.0.0.1:{port}", None, "web_address"):
            pass

    refused = pytest.raises(ConfigError, match="of web_address cannot be used: Address already")
    with socket.create_server(("127.0.0.1", 0)) as taken, refused:
        asyncio.run(scenario(taken.getsockname()[1]))
