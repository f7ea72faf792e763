"""Build the components of the server, serve until a signal to stop, and close them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import stat
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from layert2v.v1 import artifacts_pb2_grpc, jobs_pb2_grpc, server_pb2_grpc
from layert2v.wire import MAX_MESSAGE_BYTES
from layert2v_server.api.artifacts import ArtifactService
from layert2v_server.api.call_observer import CallObserver
from layert2v_server.api.certificates import Certificates
from layert2v_server.api.interceptor import AuthInterceptor
from layert2v_server.api.jobs import JobService
from layert2v_server.api.server_info import ServerService
from layert2v_server.auth import TokenAuthenticator, read_token_file
from layert2v_server.components import Components, open_components
from layert2v_server.config import Config
from layert2v_server.errors import ConfigError
from layert2v_server.executors.base import Executor
from layert2v_server.executors.process import ProcessExecutor, device_groups, worker_command
from layert2v_server.executors.ray import create_ray_executors
from layert2v_server.service.scheduler import Scheduler
from layert2v_server.service.sources import SourceResolver
from layert2v_server.service.submission import JobSubmission
from layert2v_server.store.inbox import INBOX, Inbox
from layert2v_server.tracing import OtlpTracer

if TYPE_CHECKING:
    from layert2v_server.service.metrics import ServerMetrics

# The thread that serves all calls competes with threads that read manifests for the interpreter;
# with Python's 5 ms it waits ten times as long for its turn.
SWITCH_INTERVAL_S = 0.0005
MAX_SEED = 2**31  # of the random seeds: short enough to be typed again

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # By default two servers would share a port without an error.
    ("grpc.so_reuseport", 0),
    # Clients ping once a minute, for which the default closes the connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.max_concurrent_streams", 200),
    # A connection that has not finished its handshake, or without calls, does not stay.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 120_000),
    ("grpc.max_metadata_size", 16_384),
)

_log = logging.getLogger(__name__)


async def serve(
    config: Config,
    announce: Callable[[dict[str, Any]], None],
    parent_pipe_fd: int | None = None,
    *,
    register_stacks: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; pass the event ``ready`` to ``announce`` when calls are taken.

    ``parent_pipe_fd`` is a file descriptor; the server also stops when its input ends.
    ``register_stacks`` registers stacks on disk that the database does not know. Raises
    ``ConfigError`` where the settings, the data folder or the address cannot be used.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if parent_pipe_fd is not None:
        _stop_at_end_of_input(parent_pipe_fd, stop)
    authenticator = read_token_file(config.token_file)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    tracer = None if config.trace_endpoint is None else OtlpTracer(config.trace_endpoint)
    executors = await asyncio.to_thread(create_executors, config)
    opening = open_components(config, executors, register_stacks)
    async with opening as components:
        metrics = None if config.metrics_address is None else _attach_metrics(config, components)
        scheduler = Scheduler(
            components.monitor,
            components.artifacts,
            components.executors,
            components.quota,
            lease_s=config.lease_s,
        )
        scheduler.tracer = tracer or scheduler.tracer
        async with (
            _listen(config, components, authenticator, CallObserver(metrics, tracer)) as address,
            _open_pages(config, components, authenticator, metrics) as pages,
        ):
            scheduler.start()
            components.housekeeping.start()
            announce({"event": "ready", "address": address, "pid": os.getpid(), **pages})
            for name, each in {"calls": address, **pages}.items():
                _log.info("serving %s address=%s", name, each)
            if not config.is_local and config.tls_certificate is None:
                _log.warning("tokens and footage travel unencrypted; set tls_certificate, tls_key")
            try:
                await stop.wait()
            finally:
                _log.info("stopping")
                await components.housekeeping.close()
                await scheduler.close()
    if tracer is not None:
        tracer.close()
    _log.info("stopped")


def _stop_at_end_of_input(parent_pipe_fd: int, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    if stat.S_ISFIFO(os.fstat(parent_pipe_fd).st_mode):
        os.set_blocking(parent_pipe_fd, False)

    def read() -> None:
        try:
            data = os.read(parent_pipe_fd, 4096)
        except BlockingIOError:  # the last writer left, and another came before this was read
            return
        except OSError:  # as of a terminal that is gone
            data = b""
        if not data:
            stop.set()
            loop.remove_reader(parent_pipe_fd)
            _release_pipe(parent_pipe_fd)

    try:
        loop.add_reader(parent_pipe_fd, read)
    except OSError as error:  # files and /dev/null have no end that could be waited for
        raise ConfigError(
            "The end of this standard input cannot be waited for.",
            "Give --until-stdin-ends a pipe as input, or leave it out.",
        ) from error


def _release_pipe(parent_pipe_fd: int) -> None:
    """Stop reading: whoever opens a named pipe now must not find this server as its reader."""
    with contextlib.suppress(OSError):  # no descriptor is left: the pipe closes with the server
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, parent_pipe_fd)
        os.close(nothing)


def create_executors(config: Config) -> tuple[Executor, ...]:
    """Return an executor with a worker process for each device, or for each part of a cluster.

    Raises ``ConfigError`` where there is no such cluster.
    """
    if config.executor != "process":
        return create_ray_executors(config)
    return tuple(
        ProcessExecutor(
            "+".join(devices),
            worker_command(config, devices),
            heartbeat_timeout_s=config.lease_s,
            cancel_grace_s=config.cancel_grace_s,
        )
        for devices in device_groups(config)
    )


@contextlib.asynccontextmanager
async def _listen(
    config: Config,
    components: Components,
    authenticator: TokenAuthenticator,
    observer: CallObserver,
) -> AsyncGenerator[str, None]:
    interceptor = AuthInterceptor(
        authenticator,
        idle_timeout_s=config.idle_timeout_s,
        max_calls_per_s=config.max_calls_per_s,
    )
    server = grpc.aio.server(interceptors=[observer, interceptor], options=_OPTIONS)
    health_servicer = _add_services(server, config, components)
    address = _bind(server, config)
    await server.start()
    await health_servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    try:
        yield address
    finally:
        await health_servicer.enter_graceful_shutdown()
        await components.monitor.close()  # watchers reconnect with their revision
        await server.stop(config.drain_s)


def _attach_metrics(config: Config, components: Components) -> ServerMetrics:
    # Imported late, like the pages: half of the servers serve one command and end.
    from layert2v_server.service.metrics import ServerMetrics, StateCollector

    metrics = ServerMetrics()
    store, artifacts = components.monitor.store, components.artifacts
    state = StateCollector(store, artifacts, components.executors, with_users=config.metrics_users)
    metrics.registry.register(state)
    components.monitor.observe = metrics.observe_job
    return metrics


@contextlib.asynccontextmanager
async def _open_pages(
    config: Config,
    components: Components,
    authenticator: TokenAuthenticator,
    metrics: ServerMetrics | None,
) -> AsyncGenerator[dict[str, str], None]:
    """Serve what the settings ask for over HTTP; the block gets the addresses by name."""
    if config.metrics_address is None and config.web_address is None:
        yield {}
        return
    from layert2v_server.web.endpoints import open_endpoints

    monitor, artifacts = components.monitor, components.artifacts
    async with open_endpoints(config, monitor, artifacts, authenticator, metrics) as addresses:
        yield addresses


def _add_services(server: Any, config: Config, components: Components) -> health.HealthServicer:
    monitor, artifacts, uploads = components.monitor, components.artifacts, components.uploads
    sources = SourceResolver(monitor.store, artifacts, components.content_index)
    submission = JobSubmission(
        monitor,
        artifacts,
        sources,
        components.executors,
        components.quota,
        lambda: secrets.randbelow(MAX_SEED),
    )
    expose_local_paths = (
        config.is_local if config.expose_local_paths is None else config.expose_local_paths
    )
    jobs = JobService(
        monitor,
        submission,
        artifacts,
        components.reserve,
        expose_local_paths=expose_local_paths,
    )
    jobs_pb2_grpc.add_JobServiceServicer_to_server(jobs, server)  # type: ignore[no-untyped-call]
    # A client that sees the folder of results may offer files there.
    may_offer = expose_local_paths and not uploads.is_remote
    files = ArtifactService(
        monitor,
        artifacts,
        uploads,
        components.content_index,
        components.quota,
        Inbox(uploads.root.parent / INBOX, uploads).open() if may_offer else None,
    )
    artifacts_pb2_grpc.add_ArtifactServiceServicer_to_server(files, server)  # type: ignore[no-untyped-call]
    info = ServerService(monitor, artifacts, uploads, components.executors, components.quota)
    server_pb2_grpc.add_ServerServiceServicer_to_server(info, server)  # type: ignore[no-untyped-call]
    health_servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    return health_servicer


def _bind(server: Any, config: Config) -> str:
    """Bind the address, and return it with the port that was taken. Raises ``ConfigError``."""
    certificates = None
    if config.tls_certificate is not None and config.tls_key is not None:
        certificates = Certificates(
            config.tls_certificate, config.tls_key, config.tls_client_authority
        )
    try:
        if certificates is None:
            port = server.add_insecure_port(config.address)
        else:
            port = server.add_secure_port(config.address, certificates.server_credentials())
    except RuntimeError as error:
        raise ConfigError(
            f"The address {config.address} cannot be used.",
            "Another program may have its port; choose another one with --address.",
        ) from error
    if config.address.startswith("unix:"):
        Path(config.address.removeprefix("unix:")).chmod(0o600)
        return config.address
    return f"{config.address.rpartition(':')[0]}:{port}"
