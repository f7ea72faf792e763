"""The page that Prometheus reads: ``/metrics``, in its text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from layert2v_server.auth import TokenAuthenticator
from layert2v_server.errors import AccessDenied
from layert2v_server.service.job_monitor import JobMonitor

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def metrics_app(
    registry: CollectorRegistry,
    monitor: JobMonitor,
    authenticator: TokenAuthenticator | None,
    *,
    is_local: bool,
) -> Starlette:
    """Return the application; with ``authenticator``, it wants the token of any user.

    A local address answers only where it is called like one, so that no web site can read it
    through a name of its own.
    """

    async def metrics(request: Request) -> Response:
        if authenticator is not None:
            try:
                authenticator.authenticate(request.headers.get("authorization", ""))
            except AccessDenied as error:
                return PlainTextResponse(
                    f"{error.message} {error.hint}\n",
                    status_code=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
        text = await monitor.run(generate_latest, registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    hosts = LOOPBACK_HOSTS if is_local else ("*",)
    return Starlette(
        routes=[Route("/metrics", metrics)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
    )
