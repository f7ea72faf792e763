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
from layert2v_server.tracing import NoTracer, Tracer

_PARENT_METADATA = "traceparent"  # of a W3C trace that the caller has begun
_FAULTS = frozenset({"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNKNOWN"})  # of the server
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}

_log = logging.getLogger(__name__)


class CallRecorder(Protocol):
    """What is told about each call."""

    def record_call(self, method: str, code: str, reason: str, seconds: float) -> None: ...

    def record_received(self, size_bytes: int) -> None: ...

    def record_sent(self, size_bytes: int) -> None: ...


class CallObserver(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc comes without types
    """Logs where the server failed; tells ``recorder`` of all calls, and of the bytes of files."""

    def __init__(self, recorder: CallRecorder | None = None, tracer: Tracer | None = None) -> None:
        self._recorder = recorder
        self._tracer = tracer or NoTracer()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        metadata = dict(handler_call_details.invocation_metadata or ())
        request_id = checked_request_id(str(metadata.get(REQUEST_METADATA, "")))
        parent = str(metadata.get(_PARENT_METADATA, ""))
        method = handler_call_details.method.rpartition("/")[2]
        inner = handler.stream_unary or handler.stream_stream  # what the inner interceptor makes

        async def respond(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self._observe(method, request_id, parent, context):
                return await inner(request, context)

        async def write(request: Any, context: grpc.aio.ServicerContext) -> None:
            async with self._observe(method, request_id, parent, context):
                await inner(request, context)

        codec = self._counted_codec(method, handler)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(write, *codec)
        return grpc.stream_unary_rpc_method_handler(respond, *codec)

    def _counted_codec(self, method: str, handler: Any) -> tuple[Any, Any]:
        """Return deserializer and serializer; those of files count their bytes."""
        recorder = self._recorder
        read, write = handler.request_deserializer, handler.response_serializer
        if recorder is None:
            return read, write

        def receive(data: bytes) -> Any:
            recorder.record_received(len(data))
            return read(data)

        def send(message: Any) -> Any:
            data = write(message)
            recorder.record_sent(len(data))
            return data

        return (
            receive if method == "WriteArtifact" else read,
            send if method == "ReadArtifact" else write,
        )

    @contextlib.asynccontextmanager
    async def _observe(
        self, method: str, request_id: str, parent: str, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        started = time.perf_counter()
        code = ""
        names = {"rpc__method": method, "layert2v__request": request_id}
        with (
            log_request(request_id),
            self._tracer.span(method, parent, rpc__system="grpc", **names) as span,
        ):
            try:
                yield
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            finally:
                code = code or _code_name(context)
                reason = "" if code == "OK" else _reason(context)
                if reason:
                    # What a caller did wrong must not fill the log: it is counted.
                    level = logging.WARNING if code in _FAULTS else logging.DEBUG
                    _log.log(level, "call=%s code=%s reason=%s", method, code, reason)
                span.set_attribute("rpc.response.status_code", code)
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
