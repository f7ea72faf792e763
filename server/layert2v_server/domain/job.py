"""A job: one immutable snapshot per revision. Knows neither gRPC nor SQL."""

from __future__ import annotations

from dataclasses import dataclass

from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.request import JobSpec
from layert2v_server.domain.state import TERMINAL_STATES, JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The progress of a running job. ``fraction`` (0..1) and ``eta_s`` cover the whole job."""

    stage: str = ""  # load, text, denoise, decode or write
    done: int = 0
    total: int = 0
    message: str = ""
    fraction: float = 0.0
    eta_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """The error of a failed job: a reason for programs, a sentence and a hint for people."""

    reason: str
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One snapshot of a job; times are seconds since 1970, UTC.

    ``spec`` is complete: every default is filled in and the seed is chosen, so each attempt makes
    the same images. ``revision`` grows with every change that a watcher may see. ``attempt`` counts
    the times a worker took the job, ``attempt_base`` those before its last release from quarantine,
    ``deaths`` the workers that died with it since then. ``queue_position`` counts the jobs ahead,
    None outside the queue; ``start_eta_s`` is when it may start, in seconds from now, where it can
    be told. ``preview_revision`` is the revision at which the preview image last changed, 0 for
    none. ``artifact_bytes`` is the size of all results together. ``source`` names what a re-render
    started from: a job, or the stack that was uploaded. ``request_id`` is the client's id of the
    request that made the job.
    """

    id: str
    owner: str
    spec: JobSpec
    state: JobState
    revision: int
    attempt: int
    queue_position: int | None
    created: float
    started: float | None
    finished: float | None
    worker: str
    lease_until: float
    progress: Progress
    preview_revision: int
    failure: Failure | None
    artifact_count: int
    artifact_bytes: int
    source: str = ""
    request_id: str = ""
    priority: Priority = Priority.NORMAL
    start_eta_s: float | None = None
    attempt_base: int = 0
    deaths: int = 0
    is_quarantined: bool = False

    @property
    def is_terminal(self) -> bool:
        """Tell if the job has ended and will not change any more."""
        return self.state in TERMINAL_STATES

    @property
    def can_run_again(self) -> bool:
        """Tell if the job may start once more, so that what it starts from must stay."""
        return self.is_quarantined or not self.is_terminal
