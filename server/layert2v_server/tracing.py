"""Spans of calls and jobs for OpenTelemetry, sent to a collector; nothing where none is set.

They hold names of calls, states and ids, no prompt and no user.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import layert2v
from layert2v_server.errors import ConfigError

CLOSE_TIMEOUT_S = 3.0


class Span(Protocol):
    """What is measured."""

    def set_attribute(self, key: str, value: str | int) -> Any: ...


class Tracer(Protocol):
    """Measures blocks; ``parent`` is a W3C traceparent, empty for a new trace."""

    def span(
        self, name: str, parent: str = "", **attributes: str | int
    ) -> contextlib.AbstractContextManager[Span]: ...


class _NoSpan:
    def set_attribute(self, key: str, value: str | int) -> None:
        pass


class NoTracer:
    """Measures nothing."""

    @contextlib.contextmanager
    def span(self, name: str, parent: str = "", **attributes: str | int) -> Iterator[Span]:
        yield _NoSpan()


class OtlpTracer:
    """Sends spans over OTLP/HTTP to ``endpoint``, in the background and in batches.

    Raises ``ConfigError`` where OpenTelemetry is not installed.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise ConfigError(
                "trace_endpoint needs OpenTelemetry, which is not installed.",
                "Install LayerT2V with its otel extra, or leave the setting out.",
            ) from error
        names = {"service.name": "layert2v-server", "service.version": layert2v.__version__}
        self._provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("layert2v_server", layert2v.__version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def span(self, name: str, parent: str = "", **attributes: str | int) -> Iterator[Span]:
        """Measure a block; an error that leaves it is in the span by its kind alone."""
        context = self._propagator.extract({"traceparent": parent})
        with self._tracer.start_as_current_span(
            name,
            context=context,
            attributes={key.replace("__", "."): value for key, value in attributes.items()},
            record_exception=False,  # its text may hold paths
            set_status_on_exception=False,
        ) as span:
            yield span

    def close(self) -> None:
        """Send what is left, if the collector takes it soon."""
        # A thread that nobody waits for: a collector that is gone must not keep the server up.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)
