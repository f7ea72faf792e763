"""Too many connections: one that waits for its caller goes, and nobody is locked out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from layert2v_server.web import http_connection
from layert2v_server.web.http_server import serve_http

MOST = 8
BIG = bytes(8 << 20)  # more than the system takes into its buffers
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Scenario = Callable[[int, asyncio.Event], Coroutine[Any, Any, None]]
Run = Callable[[Scenario], None]


async def _answer(request: Request) -> PlainTextResponse:
    if request.method == "POST":
        await request.body()
    return PlainTextResponse("here")


async def _big(request: Request) -> PlainTextResponse:
    return PlainTextResponse(BIG)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs a scenario against a server; it gets the port, and what ends ``/wait``."""
    monkeypatch.setattr(http_connection, "MAX_CONNECTIONS", MOST)
    release = asyncio.Event()

    async def _wait(request: Request) -> PlainTextResponse:
        await release.wait()
        return PlainTextResponse("at last")

    routes = [Route("/", _answer, methods=["GET", "POST"]), Route("/big", _big)]
    app = Starlette(routes=[*routes, Route("/wait", _wait)])

    def run(scenario: Scenario) -> None:
        async def serve() -> None:
            async with asyncio.timeout(30), serve_http(app, "127.0.0.1:0", None, "x") as address:
                await scenario(int(address.rpartition(":")[2]), release)

        asyncio.run(serve())

    return run


@asynccontextmanager
async def _connect(port: int, source: str, data: bytes) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(data)
    await asyncio.sleep(0.02)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _get(port: int, source: str = "127.0.0.1") -> bytes:
    async with _connect(port, source, HEAD + b"\r\n") as (reader, _):
        return await reader.read()


@pytest.mark.parametrize(
    "data",
    [b"", HEAD, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"GET /big HTTP/1.1\r\n"
     b"Host: x\r\n\r\n"],
    ids=["silent", "half a head", "half a form", "unread"],
)  # fmt: skip
def test_connections_that_wait_give_way(run: Run, data: bytes) -> None:
    async def scenario(port: int, _: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(_connect(port, "127.0.0.2", b""))
            for _number in range(2 * MOST):
                await stack.enter_async_context(_connect(port, "127.0.0.3", data))
            assert b"here" in await _get(port)
            own[1].write(HEAD + b"\r\n")  # the only one of its address: it stayed
            assert b"here" in await own[0].read()

    run(scenario)


def test_where_all_are_at_work_one_more_is_refused(run: Run) -> None:
    async def scenario(port: int, release: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            head = HEAD.replace(b"GET /", b"GET /wait")
            busy = [
                await stack.enter_async_context(_connect(port, "127.0.0.3", head + b"\r\n"))
                for _ in range(MOST)
            ]
            assert (await _get(port)).startswith(b"HTTP/1.1 503 ")
            release.set()
            for reader, _ in busy:
                assert b"at last" in await reader.read()
            assert b"here" in await _get(port)

    run(scenario)


def test_requests_before_the_answer_are_not_answered(run: Run) -> None:
    async def scenario(port: int, _: asyncio.Event) -> None:
        head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        async with _connect(port, "127.0.0.1", 5 * head) as (reader, _writer):
            assert (await reader.read()).count(b"here") == 1

    run(scenario)


@pytest.mark.parametrize("is_read", [True, False])
def test_an_answer_that_nobody_reads_is_given_up_and_a_slow_reader_is_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, is_read: bool
) -> None:
    monkeypatch.setattr(http_connection, "SEND_TIMEOUT_S", 20.0 if is_read else 0.3)
    monkeypatch.setattr(http_connection, "HEAD_TIMEOUT_S", 0.1)
    head = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"

    async def scenario(port: int, _: asyncio.Event) -> None:
        async with _connect(port, "127.0.0.1", head) as (reader, _writer):
            await asyncio.sleep(0.3 if is_read else 1.5)
            received = 0
            while data := await reader.read(1 << 20):
                received += len(data)
        assert (received > len(BIG)) == is_read

    run(scenario)
