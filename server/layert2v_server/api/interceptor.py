"""Authenticate the caller of every call, and turn its errors into gRPC errors."""

from __future__ import annotations

import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from layert2v.wire import TOKEN_METADATA
from layert2v_server.api.errors import abort
from layert2v_server.auth import LOCAL_USER, TokenAuthenticator
from layert2v_server.errors import ServerError

_HEALTH = "/grpc.health."

_user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default=LOCAL_USER)
_log = logging.getLogger(__name__)


def current_user() -> str:
    """Return the user of the present call."""
    return _user.get()


class AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc comes without types
    """Authenticates calls and turns errors into answers. Health checks need no token."""

    def __init__(self, authenticator: TokenAuthenticator) -> None:
        self._authenticator = authenticator

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_HEALTH):
            return handler
        authorization = dict(handler_call_details.invocation_metadata or ()).get(TOKEN_METADATA, "")
        inner = handler.unary_unary or handler.stream_unary or handler.unary_stream
        codec = (handler.request_deserializer, handler.response_serializer)

        async def respond(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self._guard(context, authorization):
                return await inner(request, context)

        async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            async with (
                self._guard(context, authorization),
                contextlib.aclosing(inner(request, context)) as messages,
            ):
                async for message in messages:
                    yield message

        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(stream, *codec)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(respond, *codec)
        return grpc.unary_unary_rpc_method_handler(respond, *codec)

    @contextlib.asynccontextmanager
    async def _guard(
        self, context: grpc.aio.ServicerContext, authorization: str
    ) -> AsyncIterator[None]:
        try:
            _user.set(self._authenticator.authenticate(authorization))
            yield
        except ServerError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:  # callers must not see internal errors
            _log.exception("a call failed unexpectedly")
            await abort(
                context, ServerError("The server made a mistake.", "Its log has the details.")
            )
