"""Serve an ASGI application on one address, in the event loop of the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from layert2v.address import port_of
from layert2v_server.errors import ConfigError
from layert2v_server.web.acceptor import Acceptor
from layert2v_server.web.http_connection import HttpConnection

MAX_HEADER_BYTES = 32 << 10
IDLE_TIMEOUT_S = 8
STOP_TIMEOUT_S = 2
CERTIFICATE_INTERVAL_S = 5.0  # between looks whether the files have changed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsFiles:
    """PEM files; with ``authority``, callers must show a certificate signed by it."""

    certificate: Path
    key: Path
    authority: Path | None = None

    def version(self) -> tuple[object, ...]:
        """Return what changes with every change of the certificate or its key."""
        infos = [path.stat() for path in (self.certificate, self.key)]
        return tuple((info.st_ino, info.st_size, info.st_mtime_ns) for info in infos)


class _Server(uvicorn.Server):
    """Leaves the signals to the process around it, and its listeners to ``Acceptor``."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])

        def connect() -> HttpConnection:
            return HttpConnection(self.config, self.server_state, self.lifespan.state)

        acceptors = [Acceptor(each, connect, self.config.ssl) for each in sockets or []]
        self._accepting = [asyncio.create_task(each.run()) for each in acceptors]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve_http(
    app: ASGIApp, address: str, tls: TlsFiles | None, setting: str
) -> AsyncIterator[str]:
    """Serve ``app`` for the length of a block, which gets the address with the port taken.

    Raises ``ConfigError``, which names ``setting``, where the address cannot be used.
    """
    listener = _bind(address, setting)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="error",  # a stranger's malformed requests must not fill the log
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_TIMEOUT_S,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.load()
    config.ssl = None if tls is None else _tls_context(tls)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    watching = asyncio.create_task(_renew_certificates(config.ssl, tls))
    try:
        yield f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}"
    finally:
        watching.cancel()
        server.should_exit = True
        await asyncio.gather(serving, watching, return_exceptions=True)
        listener.close()


def _bind(address: str, setting: str) -> socket.socket:
    host = address.rpartition(":")[0].strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port_of(address)))
        listener.listen(128)  # now, so that nobody is refused before the first turn of the loop
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The address {address} of {setting} cannot be used: {error.strerror or error}.",
            f"Another program may have its port; choose another {setting}.",
        ) from error
    return listener


def _tls_context(tls: TlsFiles) -> ssl.SSLContext:
    """Return the context of the server's certificates. Raises ``ConfigError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password is asked for on the terminal otherwise.
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"-")
        if tls.authority is not None:
            context.load_verify_locations(tls.authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The TLS files cannot be used: {error.strerror or error}.",
            "Correct tls_certificate, tls_key and tls_client_authority.",
        ) from error
    return context


async def _renew_certificates(context: ssl.SSLContext | None, tls: TlsFiles | None) -> None:
    """Read the certificate again where its files change; who connects after that meets it."""
    if context is None or tls is None:
        return
    version = tls.version()
    while True:
        await asyncio.sleep(CERTIFICATE_INTERVAL_S)
        try:
            if tls.version() != version:
                _tls_context(tls)  # a pair that does not match must not replace the one in use
                context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"-")
                version = tls.version()
        except (ConfigError, OSError, ssl.SSLError) as error:
            _log.error("the certificates of before stay in use: %s", error)
