"""How a request is doing, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layert2v_client.session import Event, RequestUpdated

STAGES = {
    "": "starting",
    "load": "loading the model",
    "text": "reading the prompts",
    "encode": "reading the layers",
    "denoise": "drawing, step",
    "decode": "painting frame",
    "write": "writing frame",
}


def progress(changed: RequestUpdated | None) -> str:
    """One line for the progress bar: where the request is, and how long it may still take."""
    if changed is None:
        return "on its way"
    if changed.state == "queued":
        ahead = changed.queue_position
        return "in the queue" if not ahead else f"in the queue, {ahead} ahead"
    if changed.state in ("uploading", "fetching"):
        return f"{changed.state} {_bytes(changed.done)} of {_bytes(changed.total)}"
    if changed.state == "waiting":
        return changed.message or "waiting for the server"
    if changed.state == "cancelling":
        return "being cancelled"
    counted = f" {changed.done}/{changed.total}" if changed.total else ""
    left = "" if changed.eta_s is None else f", {duration(changed.eta_s)} left"
    return f"{STAGES.get(changed.stage, changed.stage)}{counted}{left}"


def outcome(ended: Event | None) -> str:
    """What became of a request, and what to do; empty before its end."""
    if ended is None:
        return ""
    from layert2v_client import session  # only here: it loads gRPC

    if isinstance(ended, session.RequestFailed):
        return " ".join(filter(None, (ended.message, ended.hint)))
    if isinstance(ended, session.RequestLost):
        return "The server does not know this job, or it is another server."
    return "Cancelled" if isinstance(ended, session.RequestCancelled) else "Done"


def factor(changed: RequestUpdated | None) -> float:
    """How full the bar is, 0 to 1."""
    if changed is None:
        return 0.0
    if changed.state in ("uploading", "fetching"):
        return changed.done / changed.total if changed.total else 0.0
    return changed.fraction


def duration(seconds: float) -> str:
    """Such as 0:42 or 1:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
