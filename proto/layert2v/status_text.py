"""Progress and state of a job in words, the same in every host and on the command line.

Knows the names of stages and states, and numbers; no events, no widgets. Words begin in lower case,
so that they may stand in a sentence.
"""

from __future__ import annotations

import math
from types import MappingProxyType

# What the engine does, in order; the keys are ``Progress.stage`` on the wire.
STAGES = MappingProxyType(
    {
        "": "starting",
        "load": "loading the model",
        "check": "checking pictures",
        "text": "reading the prompts",
        "encode": "encoding layers",
        "read": "reading the footage",
        "find": "finding the subjects",
        "shadow": "finding their shadows",
        "plate": "filling the background",
        "split": "splitting matte and shadow",
        "solve": "solving the layers",
        "denoise": "denoising",
        "decode": "decoding frames",
        "write": "writing files",
    }
)
# Where a request is, from the press of a button to its end.
STATES = MappingProxyType(
    {
        "waiting": "waiting for the server",
        "uploading": "uploading",
        "queued": "queued",
        "running": "running",
        "cancelling": "cancelling",
        "fetching": "downloading",
        "succeeded": "done",
        "failed": "failed",
        "cancelled": "cancelled",
    }
)


def stage_text(stage: str) -> str:
    """Return a stage in words; one of a newer server is named as it is."""
    return STAGES.get(stage, stage)


def state_text(state: str) -> str:
    """Return a state in words; one of a newer server is named as it is."""
    return STATES.get(state, state)


def queue_text(queue_position: int | None, start_eta_s: float | None = None) -> str:
    """Return the place in the queue: ``queued`` or ``queued, 2 ahead, starts in 1:10``."""
    ahead = f", {queue_position} ahead" if queue_position else ""
    starts = "" if start_eta_s is None else f", starts in {duration(start_eta_s)}"
    return f"{STATES['queued']}{ahead}{starts}"


def progress_text(stage: str, done: int = 0, total: int = 0, eta_s: float | None = None) -> str:
    """Return how far a running job is, such as ``denoising 3/20, 1:10 left``.

    ``done`` of ``total`` counts steps or frames; ``eta_s`` is the time left, in seconds.
    """
    count = f" {done}/{total}" if total else ""
    left = "" if eta_s is None else f", {duration(eta_s)} left"
    return f"{stage_text(stage)}{count}{left}"


def account_text(
    used_bytes: int, max_bytes: int, open_jobs: int, queued_jobs: int, max_open_jobs: int
) -> str:
    """Return what a user has of what they may have, such as ``1.4 MB of 3.0 GB, 2 of 100 jobs``.

    ``max_bytes`` 0 is no limit; ``queued_jobs`` are those of ``open_jobs`` that wait.
    """
    disk = f" of {file_size(max_bytes)}" if max_bytes else ""
    waiting = f" ({queued_jobs} queued)" if queued_jobs else ""
    return f"{file_size(used_bytes)}{disk}, {open_jobs} of {max_open_jobs} jobs{waiting}"


def transfer_text(state: str, done_bytes: int, total_bytes: int) -> str:
    """Return how far a transfer is, such as ``uploading 1.4 MB of 3.0 MB``."""
    return f"{state_text(state)} {file_size(done_bytes)} of {file_size(total_bytes)}"


def duration(seconds: float) -> str:
    """Return seconds as ``42 s``, ``3:05`` or ``1:03:05``."""
    if not math.isfinite(seconds):
        return "an unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def file_size(count: int) -> str:
    """Return bytes as ``999 B`` or ``1.4 MB``, in powers of 1000."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
