"""The outermost interceptor: gives each call the id of its request, and measures it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import grpc

from layert2v.v1 import errors_pb2
from layert2v.wire import ERROR_TRAILER, REQUEST_METADATA
from layert2v_server.logs import checked_request_id, log_request

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}

_log = logging.getLogger(__name__)


class CallRecorder(Protocol):
    """What is told about each call."""

    def record_call(self, method: str, code: str, reason: str, seconds: float) -> None: ...

    def record_received(self, size_bytes: int) -> None: ...

    def record_sent(self, size_bytes: int) -> None: ...


class CallObserver(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc comes without types
    """Logs calls that failed, and tells ``recorder`` about all, and about the bytes of files."""

    def __init__(self, recorder: CallRecorder | None = None) -> None:
        self._recorder = recorder

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        metadata = dict(handler_call_details.invocation_metadata or ())
        request_id = str(metadata.get(REQUEST_METADATA, ""))
        method = handler_call_details.method.rpartition("/")[2]
        inner = handler.unary_unary or handler.stream_unary or handler.unary_stream
        if inner is None:  # no call of ours streams both ways
            return handler

        async def respond(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self._observe(method, request_id, context):
                return await inner(request, context)

        async def write(request: Any, context: grpc.aio.ServicerContext) -> None:
            async with self._observe(method, request_id, context):
                await inner(request, context)

        codec = self._counted_codec(method, handler)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(respond, *codec)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(respond, *codec)
        return grpc.unary_stream_rpc_method_handler(write, *codec)

    def _counted_codec(self, method: str, handler: Any) -> tuple[Any, Any]:
        """Return deserializer and serializer; those of files count their bytes."""
        recorder = self._recorder
        read, write = handler.request_deserializer, handler.response_serializer
        if recorder is None:
            return read, write

        def receive(data: bytes) -> Any:
            recorder.record_received(len(data))
            return read(data)

        def send(message: Any) -> bytes:
            data = bytes(write(message))
            recorder.record_sent(len(data))
            return data

        return (
            receive if method == "WriteArtifact" else read,
            send if method == "ReadArtifact" else write,
        )

    @contextlib.asynccontextmanager
    async def _observe(
        self, method: str, request_id: str, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        started = time.perf_counter()
        code = ""
        with log_request(checked_request_id(request_id)):
            try:
                yield
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                code = code or _code_name(context)
                reason = "" if code == "OK" else _reason(context)
                if reason:
                    _log.info("call=%s code=%s reason=%s", method, code, reason)
                if self._recorder is not None:
                    seconds = time.perf_counter() - started
                    self._recorder.record_call(method, code, reason, seconds)


def _code_name(context: grpc.aio.ServicerContext) -> str:
    code = context.code()
    return str(code.name if isinstance(code, grpc.StatusCode) else _CODES.get(code or 0, "UNKNOWN"))


def _reason(context: grpc.aio.ServicerContext) -> str:
    for key, value in context.trailing_metadata() or ():
        if key == ERROR_TRAILER:
            return str(errors_pb2.ErrorDetail.FromString(value).reason)
    return ""
