"""A job as the page shows it: words and numbers, nothing to decide any more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from layert2v.plain_text import plain_line
from layert2v.spec import GenerateSpec
from layert2v.status_text import duration, file_size, progress_text, queue_text, state_text
from layert2v_server.domain.job import Job
from layert2v_server.domain.request import job_kind
from layert2v_server.domain.state import JobState

KINDS = {
    "GENERATE": "Generate",
    "RERENDER": "Re-render",
    "DECOMPOSE": "Decompose",
    "REFINE": "Refine",
}
MAX_TITLE_CHARS = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class JobView:
    """What a template needs; ``preview`` is the revision of the picture, 0 for none."""

    id: str
    title: str
    kind: str
    owner: str
    state: str  # of JobState, for style
    state_words: str
    detail: str  # progress, place in the queue, or what went wrong
    hint: str
    percent: int | None
    took: str
    created: str
    preview: int
    size: str
    can_cancel: bool
    is_quarantined: bool
    is_done: bool


def view_job(job: Job, now: float | None = None) -> JobView:
    """Return the view of a job; ``now`` is in seconds since 1970."""
    now = time.time() if now is None else now
    running = job.state in (JobState.RUNNING, JobState.CANCELLING)
    return JobView(
        id=job.id,
        title=_title(job),
        kind=KINDS[job_kind(job.spec)],
        owner=job.owner,
        state=job.state.lower(),
        state_words="In quarantine"
        if job.is_quarantined
        else state_text(job.state.lower()).capitalize(),
        detail=_detail(job),
        hint="" if job.failure is None else plain_line(job.failure.hint),
        percent=round(100 * min(max(job.progress.fraction, 0.0), 1.0)) if running else None,
        took=_took(job, now),
        created=datetime.fromtimestamp(job.created, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        preview=job.preview_revision,
        size=file_size(job.artifact_bytes) if job.artifact_bytes else "",
        can_cancel=job.state in (JobState.QUEUED, JobState.RUNNING),
        is_quarantined=job.is_quarantined,
        is_done=job.state is JobState.SUCCEEDED,
    )


def _title(job: Job) -> str:
    spec = job.spec
    if isinstance(spec, GenerateSpec):
        text = spec.prompt
    else:
        prompts = getattr(spec, "prompts", {})
        text = "; ".join(f"{layer}: {prompt}" for layer, prompt in prompts.items())
        text = text or getattr(spec, "name", "") or getattr(spec, "layer", "")
    return plain_line(text)[:MAX_TITLE_CHARS] or KINDS[job_kind(spec)]


def _detail(job: Job) -> str:
    progress = job.progress
    if job.state is JobState.QUEUED:
        text = queue_text(job.queue_position, job.start_eta_s)
        return (
            text if job.queue_position or job.start_eta_s is not None else ""
        )  # the state says it
    if job.state is JobState.RUNNING:
        return progress_text(progress.stage, progress.done, progress.total, progress.eta_s)
    return "" if job.failure is None else plain_line(job.failure.message)


def _took(job: Job, now: float) -> str:
    """Return how long the job waits, runs or ran."""
    if job.state is JobState.QUEUED:
        return f"waits {duration(max(0.0, now - job.created))}"
    if job.started is None:
        return ""
    if job.finished is None:
        return f"runs {duration(max(0.0, now - job.started))}"
    return f"took {duration(max(0.0, job.finished - job.started))}"
