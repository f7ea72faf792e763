"""Interceptor of all calls: authentication, limits of open streams, errors as status codes.

A stream of which nothing moves for a while is ended, since it holds memory: a chunk that nobody
reads, or the place of an upload that nobody sends. So is one whose token is revoked or expires.

Every call is taken as a stream of requests, also where there is one: gRPC would wait for that
without an end, before anything here is asked, and keep 16 KiB for each call of any stranger.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from layert2v.chunk_codec import decode_write_request, serialize
from layert2v.wire import TOKEN_METADATA
from layert2v_server.api.certificates import common_name
from layert2v_server.api.errors import abort
from layert2v_server.auth import LOCAL_USER, Principal, TokenAuthenticator
from layert2v_server.errors import AccessDenied, InvalidArgument, ServerError, TooSlow
from layert2v_server.service.callers import Caller, CallerLimit, RateLimit, current_caller

RECHECK_S = 2.0  # how often the token of an open stream is looked at again
MAX_HEALTH_NAME = 200
MAX_HEALTH_CALLS = 4  # at a time, of one connection; they need no token

_HEALTH = "/grpc.health."
_DESERIALIZERS = {"WriteArtifact": decode_write_request}  # without copies of the data

_LOCAL = Principal(user=LOCAL_USER)

_principal: contextvars.ContextVar[Principal] = contextvars.ContextVar("principal", default=_LOCAL)
_log = logging.getLogger(__name__)


def current_user() -> str:
    """Return the user of the present call."""
    return _principal.get().user


def current_principal() -> Principal:
    """Return who makes the present call."""
    return _principal.get()


class AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc comes without types
    """Authenticates calls and turns errors into answers. Health checks need no token.

    A stream of which nothing is read or sent for ``idle_timeout_s`` is ended. A user makes at most
    ``max_calls_per_s``, more only after a silence.
    """

    def __init__(
        self, authenticator: TokenAuthenticator, *, idle_timeout_s: float, max_calls_per_s: float
    ) -> None:
        self._authenticator = authenticator
        self._rate_limit = RateLimit(max_calls_per_s)
        self._idle_timeout_s = idle_timeout_s
        self._streams = {
            "ReadArtifact": CallerLimit(per_connection=16, per_user=64),
            "WriteArtifact": CallerLimit(per_connection=8, per_user=32),
            "WatchJob": CallerLimit(per_connection=64, per_user=256),
        }
        self._health = CallerLimit(per_connection=MAX_HEALTH_CALLS, per_user=sys.maxsize)

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        details = handler_call_details
        if details.method.startswith(_HEALTH):
            return self._open_to_strangers(handler)
        authorization = dict(details.invocation_metadata or ()).get(TOKEN_METADATA, "")
        method = details.method.rpartition("/")[2]
        limit = self._streams.get(method)
        inner = handler.unary_unary or handler.stream_unary or handler.unary_stream
        deserialize = _DESERIALIZERS.get(method, handler.request_deserializer)
        codec = (_tolerate_malformed(deserialize), serialize)

        guard = functools.partial(self._guard, authorization=authorization, limit=limit)

        async def respond(requests: Any, context: grpc.aio.ServicerContext) -> Any:
            async with guard(context):
                messages = self._read(requests)
                given = messages if handler.request_streaming else await _only(messages)
                return await inner(given, context)

        async def stream(requests: Any, context: grpc.aio.ServicerContext) -> None:
            async with guard(context):
                answers = inner(await _only(self._read(requests)), context)
                async with contextlib.aclosing(answers) as messages:
                    async for message in messages:
                        await self._write(context, message)

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, *codec)
        return grpc.stream_unary_rpc_method_handler(respond, *codec)

    def _open_to_strangers(self, handler: Any) -> Any:
        """Return a handler of a health call: without a token, and few at a time."""
        inner = handler.unary_unary or handler.unary_stream

        async def respond(requests: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self._guard_stranger(context):
                # What is sent stays in memory for as long as somebody watches.
                request = await _only(self._read(requests))
                if len(request.service) > MAX_HEALTH_NAME:
                    raise InvalidArgument(f"A service has at most {MAX_HEALTH_NAME} characters.")
                return await inner(request, context)

        codec = (_tolerate_malformed(handler.request_deserializer), serialize)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(respond, *codec)
        return grpc.stream_unary_rpc_method_handler(respond, *codec)

    async def _read(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the messages of the caller. Raises ``TooSlow`` where none comes."""
        while True:
            try:
                async with asyncio.timeout(self._idle_timeout_s):
                    message = await anext(requests, None)
            except TimeoutError:
                raise TooSlow from None
            if message is None:
                return
            yield _well_formed(message)

    async def _write(self, context: grpc.aio.ServicerContext, message: Any) -> None:
        """Send one message of a stream. Raises ``TooSlow`` where the caller does not read."""
        try:
            async with asyncio.timeout(self._idle_timeout_s):
                await context.write(message)
        except TimeoutError:
            raise TooSlow from None

    @contextlib.asynccontextmanager
    async def _guard_stranger(self, context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        """Limit the calls of strangers on one connection."""
        current_caller.set(Caller(user="", connection=context.peer()))
        try:
            release = await self._health.acquire_now()
            try:
                yield
            finally:
                release()
        except ServerError as error:
            await abort(context, error)

    @contextlib.asynccontextmanager
    async def _guard(
        self, context: grpc.aio.ServicerContext, authorization: str, limit: CallerLimit | None
    ) -> AsyncIterator[None]:
        try:
            identity = (authorization, common_name(context))
            principal = self._authenticator.authenticate(*identity)
            self._rate_limit.take(principal.user)
            _principal.set(principal)
            current_caller.set(Caller(user=principal.user, connection=context.peer()))
            if limit is None:
                yield
                return
            release = await limit.acquire_now()
            try:
                async with self._while_authenticated(principal, identity):
                    yield
            finally:
                release()
        except ServerError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:  # callers must not see internal errors
            _log.exception("a call failed unexpectedly")
            await abort(
                context, ServerError("The server made a mistake.", "Its log has the details.")
            )

    @contextlib.asynccontextmanager
    async def _while_authenticated(
        self, principal: Principal, identity: tuple[str, str | None]
    ) -> AsyncIterator[None]:
        """End a block with ``AccessDenied`` when its caller is not ``principal`` any more."""
        loop = asyncio.get_running_loop()
        denied = AccessDenied("This token has other rights now.")
        timer: asyncio.TimerHandle

        def check() -> None:
            nonlocal timer, denied
            try:
                if self._authenticator.authenticate(*identity) == principal:
                    timer = loop.call_later(RECHECK_S, check)
                    return
            except AccessDenied as error:
                denied = error
            end.reschedule(loop.time())

        timer = loop.call_later(RECHECK_S, check)
        end = asyncio.timeout(None)
        try:
            async with end:
                yield
        except TimeoutError:
            if end.expired():
                raise denied from None
            raise
        finally:
            timer.cancel()


async def _only(messages: AsyncIterator[Any]) -> Any:
    """Return the one request of a call. Raises ``InvalidArgument`` where there is none."""
    message = await anext(messages, None)
    if message is None:
        raise InvalidArgument("A call has a message; this one has none.")
    return message


class _Malformed:
    """Stands for a request whose bytes are no message of the contract."""


def _tolerate_malformed(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Leave the answer to malformed bytes to the handler: gRPC would log a traceback."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception:  # whatever this version of protobuf raises
            return _Malformed()

    return read


def _well_formed(request: Any) -> Any:
    if isinstance(request, _Malformed):
        raise InvalidArgument("The bytes of this request are no message of the contract.")
    return request
