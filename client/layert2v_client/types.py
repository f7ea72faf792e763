"""Return values of the client: jobs, progress, files and servers as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.rerender import RerenderSpec
from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo


class JobState(str, Enum):
    """The life of a job; ``unknown`` is a state that only a newer server knows."""

    unknown = "unknown"
    queued = "queued"
    running = "running"
    cancelling = "cancelling"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether a job stays in this state."""
        return self in (JobState.succeeded, JobState.failed, JobState.cancelled)


@dataclass(frozen=True)
class Progress:
    """How far a running job is.

    ``done`` and ``total`` count steps or frames of ``stage`` (load, text, denoise, decode, write);
    ``fraction`` runs from 0 to 1 over the whole job, ``eta_s`` is seconds to its end or None.
    """

    stage: str
    done: int
    total: int
    fraction: float
    eta_s: float | None
    message: str


@dataclass(frozen=True)
class ErrorInfo:
    """Why a job failed."""

    reason: str
    message: str
    hint: str
    violations: tuple[FieldViolation, ...]


@dataclass(frozen=True)
class JobStatus:
    """A job as it was at one revision. Times are UTC; ``queue_position`` counts jobs ahead.

    ``start_eta_s`` is in how many seconds a queued job may start, None where nobody knows.
    ``is_quarantined`` says that workers died with it; whoever runs the server may send it again.

    One of ``rerender``, ``decompose`` and ``refine`` is set where the job is of that kind; ``spec``
    is then without meaning, and ``source`` says which stack or footage the job started from.
    """

    name: str
    state: JobState
    revision: int
    spec: GenerateSpec
    progress: Progress | None
    queue_position: int | None
    error: ErrorInfo | None
    attempt: int
    max_attempts: int
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    artifact_count: int
    artifact_bytes: int
    local_path: str
    owner: str
    rerender: RerenderSpec | None = None
    source: str = ""
    decompose: DecomposeSpec | None = None
    refine: RefineSpec | None = None
    priority: str = "normal"
    start_eta_s: float | None = None
    is_quarantined: bool = False

    @property
    def changes_stack(self) -> bool:
        """Whether the result is a new state of a stack, and not a new stack."""
        return self.rerender is not None or self.refine is not None


@dataclass(frozen=True)
class Preview:
    """A small picture of unfinished work: an encoded file of ``media_type``."""

    media_type: str
    data: bytes


@dataclass(frozen=True)
class Update:
    """One message of a watch."""

    status: JobStatus
    preview: Preview | None


@dataclass(frozen=True)
class Artifact:
    """One file of a job; ``path`` is where it belongs in the stack folder."""

    name: str
    path: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True)
class Device:
    """A device that a worker of the server computes on."""

    name: str
    memory_bytes: int
    ready: bool


@dataclass(frozen=True)
class Account:
    """What the caller has on a server, and may have.

    ``used_bytes`` of ``max_bytes`` are results and uploads, 0 for no limit. ``queued_jobs`` are
    those of ``open_jobs`` that wait. ``priorities`` are what a job may have, lowest first.
    """

    user: str
    used_bytes: int
    max_bytes: int
    open_jobs: int
    queued_jobs: int
    max_open_jobs: int
    priorities: tuple[str, ...]


@dataclass(frozen=True)
class ServerInfo:
    """A server: version, models, limits, storage, devices; the first model is its default.

    ``account`` is None of a server of 0.1, which does not tell it.
    """

    version: str
    models: tuple[ModelInfo, ...]
    capabilities: tuple[str, ...]
    max_open_jobs: int
    max_upload_bytes: int
    used_bytes: int
    free_bytes: int
    devices: tuple[Device, ...]
    account: Account | None = None
    storage_problem: str = ""  # why results cannot be read or stored at the moment
