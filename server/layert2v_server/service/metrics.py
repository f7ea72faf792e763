"""Figures of a server for Prometheus.

They hold no prompt, no token and no path, and a user's name only where the settings ask for it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from layert2v_server.domain.job import Job, Progress
from layert2v_server.domain.request import job_kind
from layert2v_server.domain.state import JobState
from layert2v_server.errors import ServerError
from layert2v_server.executors.base import Executor
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.job_counts import JobCount
from layert2v_server.store.jobs import JobStore

MAX_KNOWN_JOBS = 10_000  # whose last observed attempt, end and progress are remembered

_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_STEP_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)
_JOB_BUCKETS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400)
_SHOWN_STATES = tuple(str(state) for state in JobState)


@dataclass(slots=True)
class _Observed:
    """What is known of one job; ``progress_time`` is when its last step was seen."""

    attempt: int = 0
    attempt_base: int = 0
    deaths: int = 0
    has_ended: bool = False
    progress: Progress | None = None
    progress_time: float = 0.0


class ServerMetrics:
    """Counts what happens; ``registry`` has the figures. For the thread of the event loop."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._clock = clock
        self._observed: OrderedDict[str, _Observed] = OrderedDict()
        registry = self.registry
        job_labels = ("kind", "model")
        self._waits = Histogram(
            "layert2v_job_wait_seconds",
            "Time from the request to the first worker",
            job_labels,
            buckets=_JOB_BUCKETS,
            registry=registry,
        )
        self._runs = Histogram(
            "layert2v_job_run_seconds",
            "Time from the start of the last attempt to the end",
            ("state", *job_labels),
            buckets=_JOB_BUCKETS,
            registry=registry,
        )
        self._steps = Histogram(
            "layert2v_step_seconds",
            "Time of one step of a stage, such as denoise",
            ("stage", *job_labels),
            buckets=_STEP_BUCKETS,
            registry=registry,
        )
        self._attempts = Counter(
            "layert2v_job_attempts", "Times a worker took a job", job_labels, registry=registry
        )
        self._deaths = Counter(
            "layert2v_worker_deaths", "Workers that died with a job", job_labels, registry=registry
        )
        self._failures = Counter(
            "layert2v_job_failures", "Failed jobs by reason", ("reason", "kind"), registry=registry
        )
        self._calls = Histogram(
            "layert2v_call_seconds",
            "Time of calls; of streams, until they end",
            ("method", "code"),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self._refusals = Counter(
            "layert2v_refusals",
            "Calls that were refused, by reason",
            ("reason",),
            registry=registry,
        )
        self._received = Counter(
            "layert2v_upload_bytes", "Bytes of files that came in", registry=registry
        )
        self._sent = Counter(
            "layert2v_download_bytes", "Bytes of files that went out", registry=registry
        )

    def record_call(self, method: str, code: str, reason: str, seconds: float) -> None:
        """Count one call; ``reason`` is that of its error, if any."""
        self._calls.labels(method, code).observe(seconds)
        if reason:
            self._refusals.labels(reason).inc()

    def record_received(self, size_bytes: int) -> None:
        """Count bytes of an upload."""
        self._received.inc(size_bytes)

    def record_sent(self, size_bytes: int) -> None:
        """Count bytes of a download."""
        self._sent.inc(size_bytes)

    def observe_job(self, job: Job) -> None:
        """Count what is new in a snapshot of a job; snapshots may come twice."""
        known = self._observed.pop(job.id, None) or _Observed()
        self._observed[job.id] = known
        while len(self._observed) > MAX_KNOWN_JOBS:
            self._observed.popitem(last=False)
        kind, model = str(job_kind(job.spec)), model_of(job)
        if job.attempt_base > known.attempt_base:  # it was released from quarantine
            known.attempt_base, known.deaths, known.has_ended = job.attempt_base, 0, False
        if job.deaths > known.deaths:
            self._deaths.labels(kind, model).inc(job.deaths - known.deaths)
            known.deaths = job.deaths
        if job.state is JobState.RUNNING and job.attempt > known.attempt:
            known.attempt, known.progress = job.attempt, None
            self._attempts.labels(kind, model).inc()
            if job.attempt == 1 and job.started is not None:
                self._waits.labels(kind, model).observe(max(0.0, job.started - job.created))
        if job.state is JobState.RUNNING:
            self._observe_steps(job.progress, known, (kind, model))
        if job.is_terminal and not known.has_ended:
            known.has_ended = True
            self._observe_end(job, (kind, model))

    def _observe_steps(self, progress: Progress, known: _Observed, labels: tuple[str, str]) -> None:
        now, last = self._clock(), known.progress
        if last is not None and last.stage == progress.stage and progress.done > last.done:
            seconds = (now - known.progress_time) / (progress.done - last.done)
            self._steps.labels(progress.stage, *labels).observe(seconds)
        if last is None or (last.stage, last.done) != (progress.stage, progress.done):
            known.progress, known.progress_time = progress, now

    def _observe_end(self, job: Job, labels: tuple[str, str]) -> None:
        if job.started is not None and job.finished is not None:
            seconds = max(0.0, job.finished - job.started)
            self._runs.labels(str(job.state), *labels).observe(seconds)
        if job.failure is not None:
            self._failures.labels(job.failure.reason, labels[0]).inc()


def model_of(job: Job) -> str:
    """Return the model of a job, or of footage its recipe; empty for the model of the stack."""
    return str(getattr(job.spec, "model", "") or getattr(job.spec, "recipe", ""))


class StateCollector(Collector):
    """What is true at the moment of a look: jobs, workers, memory, disk. Reads the store."""

    def __init__(
        self,
        store: JobStore,
        artifacts: ArtifactStore,
        executors: Sequence[Executor],
        *,
        with_users: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._executors = executors
        self._with_users = with_users
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Return nothing: registering this must not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; those that cannot be read at the moment are left out."""
        try:
            counts, busy = self._store.count()
            quarantined = self._store.count_quarantined()
        except ServerError:
            counts, busy = [], set()
        else:
            yield from self._jobs(counts)
            yield GaugeMetricFamily(
                "layert2v_quarantined_jobs", "Jobs in quarantine", value=quarantined
            )
        yield from self._workers(busy)
        yield from self._disk()

    def _jobs(self, counts: Sequence[JobCount]) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "layert2v_jobs", "Jobs of the store by state and kind", labels=("state", "kind")
        )
        sums: dict[tuple[str, str], int] = {}
        users: dict[str, int] = {}
        for each in counts:
            key = (each.state if each.state in _SHOWN_STATES else "DAMAGED", each.kind)
            sums[key] = sums.get(key, 0) + each.count
            if each.state in ("QUEUED", "RUNNING", "CANCELLING"):
                users[each.owner] = users.get(each.owner, 0) + each.count
        for key, count in sums.items():
            jobs.add_metric(key, count)
        yield jobs
        queued = [each for each in counts if each.state == JobState.QUEUED]
        yield GaugeMetricFamily(
            "layert2v_queue_length", "Jobs that wait", value=sum(each.count for each in queued)
        )
        oldest = min((each.oldest for each in queued), default=self._clock())
        yield GaugeMetricFamily(
            "layert2v_queue_oldest_seconds",
            "How long the first job waits",
            value=max(0.0, self._clock() - oldest),
        )
        if self._with_users:
            by_user = GaugeMetricFamily(
                "layert2v_open_jobs_of_user", "Jobs that wait or run", labels=("user",)
            )
            for user, count in users.items():
                by_user.add_metric((user,), count)
            yield by_user

    def _workers(self, busy: set[str]) -> Iterator[Metric]:
        workers = GaugeMetricFamily(
            "layert2v_worker", "1 in the state that a worker has", labels=("worker", "state")
        )
        memory = GaugeMetricFamily(
            "layert2v_device_memory_bytes", "Memory of the device", labels=("worker", "device")
        )
        for executor in self._executors:
            info = executor.worker_info
            present = "starting" if executor.startup_error is None else "broken"
            if info is not None:
                present = "busy" if executor.name in busy else "idle"
                memory.add_metric((executor.name, info.device), info.memory_bytes)
            for state in ("starting", "broken", "idle", "busy"):
                workers.add_metric((executor.name, state), float(state == present))
        yield workers
        yield memory
        yield GaugeMetricFamily(
            "layert2v_workers_resident_bytes",
            "Memory of all worker processes in the machine",
            value=_children_bytes(),
        )

    def _disk(self) -> Iterator[Metric]:
        try:
            free, used = self._artifacts.free_bytes(), self._store.used_bytes()
        except (ServerError, OSError):
            return
        yield GaugeMetricFamily("layert2v_disk_free_bytes", "Free on the data disk", value=free)
        yield GaugeMetricFamily("layert2v_results_bytes", "Size of all results", value=used)
        yield GaugeMetricFamily(
            "layert2v_results_reachable",
            "1 where results can be read and stored, 0 where their bucket cannot be used",
            value=float(not self._artifacts.problem()),
        )


def _children_bytes() -> int:
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it has just ended
            continue
    return total
