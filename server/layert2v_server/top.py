"""``layert2v-server top``: the queue of a running server in a terminal.

Asks the server as any client does, and reads its metrics where they are served.
"""

from __future__ import annotations

import http.client
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import grpc
from prometheus_client.parser import text_string_to_metric_families

from layert2v.address import port_of
from layert2v.plain_text import plain_line
from layert2v.status_text import duration, file_size, progress_text, queue_text, state_text
from layert2v.v1 import errors_pb2, jobs_pb2, jobs_pb2_grpc, server_pb2, server_pb2_grpc
from layert2v.wire import ERROR_TRAILER, TOKEN_METADATA
from layert2v_server.errors import ServerError

CALL_TIMEOUT_S = 10.0
PAGE_SIZE = 200
CLEAR = "\x1b[H\x1b[2J"
_OPEN = (
    jobs_pb2.JOB_STATE_RUNNING,
    jobs_pb2.JOB_STATE_CANCELLING,
    jobs_pb2.JOB_STATE_QUEUED,
)
_COLUMNS = "{:10} {:14} {:10} {:34} {:>8} {:>8}  {}"


class TopFailed(ServerError):
    """The server cannot be asked."""

    reason = "TOP_FAILED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen at ``time``, in seconds since 1970; ``metrics`` by name and labels."""

    time: float
    info: Any
    jobs: Sequence[Any]
    has_more: bool
    quarantined: Sequence[Any] = ()
    metrics: Mapping[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)


class ServerLook:
    """Looks at the server at ``address``; the token is that of the environment, as for clients."""

    def __init__(self, address: str, authority: Path | None, metrics_address: str | None) -> None:
        self._address, self._metrics_address = address, metrics_address
        token = os.environ.get("LAYERT2V_TOKEN", "")
        self._metadata = ((TOKEN_METADATA, f"Bearer {token}"),) if token else ()
        if authority is None:
            self._channel = grpc.insecure_channel(address)
        else:
            try:
                credentials = grpc.ssl_channel_credentials(authority.read_bytes())
            except OSError as error:
                raise TopFailed(
                    f"The certificate {authority} cannot be read: {error.strerror}.",
                    "Name the PEM file of the server's authority.",
                ) from error
            self._channel = grpc.secure_channel(address, credentials)

    def take(self) -> Look:
        """Ask once. Raises ``TopFailed``."""
        jobs = jobs_pb2_grpc.JobServiceStub(self._channel)  # type: ignore[no-untyped-call]
        server = server_pb2_grpc.ServerServiceStub(self._channel)  # type: ignore[no-untyped-call]
        info = self._call(server.GetServerInfo, server_pb2.GetServerInfoRequest())
        request = jobs_pb2.ListJobsRequest(states=_OPEN, page_size=PAGE_SIZE)
        page = self._call(jobs.ListJobs, request)
        request = jobs_pb2.ListJobsRequest(quarantined=True, page_size=PAGE_SIZE)
        quarantined = self._call(jobs.ListJobs, request).jobs
        return Look(
            time=time.time(),
            info=info,
            jobs=sorted(
                page.jobs, key=lambda job: (_OPEN.index(job.state), job.create_time.seconds)
            ),
            has_more=bool(page.next_page_token),
            # A server of 0.1 knows no quarantine, and answers with all.
            quarantined=[job for job in quarantined if job.quarantined],
            metrics={} if self._metrics_address is None else _read_metrics(self._metrics_address),
        )

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=CALL_TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._explain(error) from error

    def _explain(self, error: Any) -> TopFailed:
        for key, value in error.trailing_metadata() or ():
            if key == ERROR_TRAILER:
                detail = errors_pb2.ErrorDetail.FromString(value)
                return TopFailed(detail.message, detail.hint)
        return TopFailed(
            f"The server at {self._address} does not answer.",
            "Name its address with --address, and with TLS the authority with --authority.",
        )


def run_top(look: ServerLook, out: TextIO, *, interval_s: float, once: bool) -> None:
    """Print what the server does, again every ``interval_s`` until interrupted."""
    before: Look | None = None
    try:
        while True:
            now = look.take()
            width = shutil.get_terminal_size((120, 40)).columns
            text = "\n".join(line[:width] for line in lines(now, before))
            out.write(f"{CLEAR if out.isatty() and not once else ''}{text}\n")
            out.flush()
            if once:
                return
            before = now
            time.sleep(interval_s)
    except KeyboardInterrupt:
        return
    finally:
        look.close()


def lines(now: Look, before: Look | None = None) -> list[str]:
    """Return the lines of a look; what is faster than one look shows by the one ``before``."""
    states = [job.state for job in now.jobs]
    queued = states.count(jobs_pb2.JOB_STATE_QUEUED)
    storage = now.info.storage
    more = "+" if now.has_more else ""
    memory = now.metrics.get(("process_resident_memory_bytes", frozenset()))
    workers_memory = now.metrics.get(("layert2v_workers_resident_bytes", frozenset()))
    head = [
        f"LayerT2V {now.info.version}: {len(states) - queued} running, {queued}{more} queued, "
        f"{file_size(storage.used_bytes)} of results, {file_size(storage.free_bytes)} free"
    ]
    if memory is not None and workers_memory is not None:
        head.append(f"memory: server {_size(memory)}, workers {_size(workers_memory)}")
    if storage.problem:
        head.append(plain_line(storage.problem))
    head += [
        f"worker: {plain_line(device.name)}, "
        + (f"{file_size(device.memory_bytes)}" if device.ready else "not ready")
        for device in now.info.devices
    ]
    if now.quarantined:
        head.append(f"in quarantine: {len(now.quarantined)}, see layert2v-server quarantine list")
    speeds = _steps(before)
    table = [_COLUMNS.format("JOB", "USER", "KIND", "STATE", "S/STEP", "TIME", "").rstrip()]
    for job in now.jobs:
        table.append(_row(job, now.time, speeds, 0.0 if before is None else now.time - before.time))
    for job in now.quarantined:
        table.append(_row(job, now.time, {}, 0.0))
    has_any = bool(now.jobs or now.quarantined)
    return [*head, "", *(table if has_any else ["no open jobs"])]


def _row(job: Any, now: float, steps: Mapping[tuple[str, str], int], passed_s: float) -> str:
    progress = job.progress
    since = job.start_time if job.HasField("start_time") else job.create_time
    if job.state == jobs_pb2.JOB_STATE_QUEUED:
        start_s = job.start_eta_s if job.HasField("start_eta_s") else None
        words = queue_text(job.queue_position, start_s)
    elif job.quarantined:
        words = "in quarantine"
    elif job.state == jobs_pb2.JOB_STATE_CANCELLING:
        words = state_text("cancelling")
    else:
        eta_s = progress.eta_s if progress.HasField("eta_s") else None
        words = progress_text(progress.stage, progress.done, progress.total, eta_s)
    done = progress.done - steps.get((job.name, progress.stage), progress.done)
    return _COLUMNS.format(
        job.name.partition("/")[2][:8],
        plain_line(job.owner)[:14],
        jobs_pb2.JobKind.Name(job.kind).removeprefix("JOB_KIND_").lower(),
        words[:34],
        f"{passed_s / done:.2f}" if done > 0 else "-",
        duration(max(0.0, now - since.seconds)),
        plain_line(job.spec.prompt),
    ).rstrip()


def _size(value: float) -> str:
    return file_size(int(value))


def _steps(look: Look | None) -> dict[tuple[str, str], int]:
    jobs = () if look is None else look.jobs
    return {(job.name, job.progress.stage): job.progress.done for job in jobs}


def _read_metrics(address: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the metrics of an address without TLS and token. Raises ``TopFailed``."""
    host = address.rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, port_of(address), timeout=CALL_TIMEOUT_S)
    try:
        with closing(connection):
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            if answer.status != 200:
                raise TopFailed(f"The metrics at {address} are refused.", text.strip())
    except (OSError, http.client.HTTPException) as error:
        raise TopFailed(
            f"There are no metrics at {address}.", "Start the server with --metrics-address."
        ) from error
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
