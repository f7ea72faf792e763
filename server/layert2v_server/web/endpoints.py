"""Open what the settings say to serve over HTTP beside the calls."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from layert2v.address import is_local
from layert2v_server.auth import TokenAuthenticator
from layert2v_server.config import Config
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.metrics import ServerMetrics
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.web.http_server import TlsFiles, serve_http
from layert2v_server.web.metrics_app import metrics_app
from layert2v_server.web.pages import PageParts, queue_app
from layert2v_server.web.sessions import Sessions
from layert2v_server.web.viewer import ViewerMaker


@contextlib.asynccontextmanager
async def open_endpoints(
    config: Config,
    monitor: JobMonitor,
    artifacts: ArtifactStore,
    authenticator: TokenAuthenticator,
    metrics: ServerMetrics | None,
) -> AsyncIterator[dict[str, str]]:
    """Serve for the length of a block, which gets the addresses by name.

    Raises ``ConfigError`` where an address cannot be used.
    """
    addresses: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        if config.metrics_address is not None and metrics is not None:
            local = is_local(config.metrics_address)
            asks = not (local or config.metrics_public)
            app = metrics_app(
                metrics.registry, monitor, authenticator if asks else None, is_local=local
            )
            tls = None if local else _tls_files(config)
            server = serve_http(app, config.metrics_address, tls, "metrics_address")
            addresses["metrics"] = await stack.enter_async_context(server)
        if config.web_address is not None:
            tls = None if is_local(config.web_address) else _tls_files(config)
            pages = queue_app(
                PageParts(
                    monitor=monitor,
                    artifacts=artifacts,
                    sessions=Sessions(authenticator),
                    viewers=ViewerMaker(),
                    is_secure=tls is not None,
                )
            )
            server = serve_http(pages, config.web_address, tls, "web_address")
            addresses["web"] = await stack.enter_async_context(server)
        yield addresses


def _tls_files(config: Config) -> TlsFiles | None:
    if config.tls_certificate is None or config.tls_key is None:
        return None
    return TlsFiles(
        certificate=config.tls_certificate,
        key=config.tls_key,
        authority=config.tls_client_authority,
    )
