"""The connection to one server: address, TLS, token, limits, deadlines, retries.

Knows how to call, not what is called. gRPC repeats calls that are idempotent; streams that broke
are continued by their callers, with ``RetryBudget``.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.experimental

import layert2v
from layert2v.address import port_of
from layert2v.chunk_codec import decode_read_response, serialize
from layert2v.plain_text import is_unicode
from layert2v.v1 import artifacts_pb2, artifacts_pb2_grpc, jobs_pb2_grpc, server_pb2_grpc
from layert2v.wire import MAX_MESSAGE_BYTES, REQUEST_METADATA, TOKEN_METADATA
from layert2v_client.convert import error_from_rpc
from layert2v_client.errors import ClientError, InvalidRequest, NotPossible, ServerBusy

CALL_TIMEOUT_S = 20.0
RETRY_TIMEOUT_S = 60.0
TOO_FAST = "TOO_MANY_REQUESTS"  # the reason to make the same call again soon

_IDEMPOTENT = {
    # CreateJob may be repeated because it carries a request_id.
    "layert2v.v1.JobService": ("CreateJob", "GetJob", "ListJobs", "CancelJob"),
    "layert2v.v1.ArtifactService": ("ListArtifacts", "QueryWrite", "FindFiles"),
    "layert2v.v1.ServerService": ("GetServerInfo",),
}
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": method}
                for service, methods in _IDEMPOTENT.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                # A server to which thousands of calls come at once cancels some unread.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ]
}
_ARTIFACT_SERVICE = artifacts_pb2.DESCRIPTOR.services_by_name["ArtifactService"].full_name
_OPTIONS = [
    ("grpc.primary_user_agent", f"layert2v-client/{layert2v.__version__}"),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Servers answer pings above one a minute, or without calls, by hanging up.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC's own back-off grows to two minutes: too long for an artist whose server was restarted.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Otherwise a proxy from the environment gets even calls to this machine.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # A stream with a thread of its own that Ctrl-C breaks off while it starts lets ``close`` wait
    # for ever; this one is read in the thread that asks for its messages.
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
]

R = TypeVar("R")


@dataclass(frozen=True)
class Tls:
    """Certificates, PEM files: of the server's authority, and of this client where it has one.

    ``authority`` is the certificate that signed the server's; None means the common public ones.
    """

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Connection:
    """A channel with its stubs. May be used from several threads; ``close`` ends it."""

    def __init__(self, address: str, token: str | None, tls: Tls | None) -> None:
        self.address = address
        self._closed = False
        self._metadata = ((TOKEN_METADATA, f"Bearer {token}"),) if token else ()
        if tls is None:
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, _credentials(tls), options=_OPTIONS)
        self.jobs: Any = jobs_pb2_grpc.JobServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.artifacts: Any = artifacts_pb2_grpc.ArtifactServiceStub(self._channel)  # type: ignore[no-untyped-call]
        # Like those of the stub, without copies of the data.
        self.read_chunks: Any = self._channel.unary_stream(
            f"/{_ARTIFACT_SERVICE}/ReadArtifact",
            request_serializer=serialize,
            response_deserializer=decode_read_response,
        )
        self.write_chunks: Any = self._channel.stream_unary(
            f"/{_ARTIFACT_SERVICE}/WriteArtifact",
            request_serializer=serialize,
            response_deserializer=artifacts_pb2.WriteArtifactResponse.FromString,
        )
        self.server: Any = server_pb2_grpc.ServerServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def call(
        self, method: Callable[..., R], request: object, timeout_s: float = CALL_TIMEOUT_S
    ) -> R:
        """Call a method and return its response. Raises ``ClientError``.

        Where the server says that calls come too fast, a request is made again when it says.
        """
        until = time.monotonic() + timeout_s
        while True:
            self._check_open()
            try:
                return method(request, timeout=timeout_s, metadata=self._call_metadata(request))
            except grpc.RpcError as error:
                explained = self._explain(error)
                wait_s = _retry_delay_s(explained)
                is_stream = not hasattr(request, "SerializeToString")
                if wait_s is None or is_stream or time.monotonic() + wait_s > until:
                    raise explained from error
            except ValueError:  # grpc's, where another thread closed the connection just now
                self._check_open()
                raise
            time.sleep(wait_s)

    def stream(
        self, method: Callable[..., R], request: object, timeout_s: float | None = None
    ) -> R:
        """Start a stream; ``read`` yields its messages, its ``cancel`` ends it from any thread."""
        self._check_open()
        try:
            return method(request, timeout=timeout_s, metadata=self._call_metadata(request))
        except ValueError:
            self._check_open()
            raise

    def read(self, stream: Any) -> Iterator[Any]:
        """Yield the messages of a stream. Raises ``ClientError`` where it breaks."""
        try:
            yield from stream
        except grpc.RpcError as error:
            raise self._explain(error) from error
        finally:
            stream.cancel()

    def close(self) -> None:
        """Close the connection; open streams break."""
        self._closed = True
        self._channel.close()

    def _call_metadata(self, request: object) -> tuple[tuple[str, str], ...]:
        """Return the token, and an id of this call for the log: that of the request if it has one.

        A job keeps that of the call which made it.
        """
        request_id = getattr(request, "request_id", "") or uuid.uuid4().hex
        return (*self._metadata, (REQUEST_METADATA, request_id))

    def _check_open(self) -> None:
        if self._closed:
            raise NotPossible("CONNECTION_CLOSED", "The connection was closed.")

    def _explain(self, rpc_error: grpc.RpcError) -> ClientError:
        self._check_open()
        error = error_from_rpc(rpc_error)
        if error.reason == "SERVER_UNAVAILABLE":
            error.message = f"The server at {self.address} does not answer."
            error.args = (error.message,)
        return error


class RetryBudget:
    """How long to retry after a connection broke; every ``reset`` starts the time anew.

    Setting ``stop`` ends a pause at once.
    """

    def __init__(self, limit_s: float, stop: threading.Event) -> None:
        self._limit_s = limit_s
        self._stop = stop
        self.reset()

    def reset(self) -> None:
        """Start the time anew: something arrived."""
        self._until = time.monotonic() + self._limit_s
        self._pause_s = 0.2

    def pause(self, error: ClientError) -> None:
        """Wait before the next try, or raise ``error`` when the time is over."""
        if time.monotonic() + self._pause_s > self._until:
            raise error
        self._stop.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, 2.0)


def _retry_delay_s(error: ClientError) -> float | None:
    """Return after how long a call that came too fast may be made again; None for other errors."""
    if isinstance(error, ServerBusy) and error.reason == TOO_FAST:
        return max(error.retry_after_s or 0.0, 0.05)
    return None


def check_address(address: str) -> str:
    """Return ``address``, which is ``HOST:PORT`` or ``unix:PATH``.

    Raises ``InvalidRequest`` for anything else.
    """
    host, colon, _ = address.rpartition(":")
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address
    if not (host and colon and 0 < port_of(address) < 65536) or "/" in host or not is_unicode(host):
        raise InvalidRequest(
            "ADDRESS_INVALID",
            f"{address!r} is no server address.",
            "Write it as HOST:PORT, such as render01:7433.",
        )
    return address


def _credentials(tls: Tls) -> Any:
    try:
        return grpc.ssl_channel_credentials(
            *(
                None if p is None else p.read_bytes()
                for p in (tls.authority, tls.key, tls.certificate)
            )
        )
    except OSError as error:
        raise InvalidRequest(
            "CERTIFICATE_UNREADABLE",
            f"The certificate file {error.filename} cannot be read.",
            "Check the tls entries of the configuration file.",
        ) from error
