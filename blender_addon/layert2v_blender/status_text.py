"""A request's events as lines of the panel, in the words of ``layert2v.status_text``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layert2v import status_text

if TYPE_CHECKING:
    from layert2v_client.session import Event, RequestUpdated

TRANSFERS = ("uploading", "fetching")


def progress_text(update: RequestUpdated | None) -> str:
    """Return one line for the progress bar: where the request is and how long it may still take."""
    if update is None:
        return "sending"
    if update.state == "queued":
        return status_text.queue_text(update.queue_position, update.eta_s)
    if update.state in TRANSFERS:
        return status_text.transfer_text(update.state, update.done, update.total)
    if update.state == "running":
        return status_text.progress_text(update.stage, update.done, update.total, update.eta_s)
    message = update.message if update.state == "waiting" else ""
    return message or status_text.state_text(update.state)


def progress_factor(update: RequestUpdated | None) -> float:
    """Return how full the progress bar is, 0 to 1."""
    if update is None:
        return 0.0
    if update.state in TRANSFERS:
        return update.done / update.total if update.total else 0.0
    return update.fraction


def end_text(event: Event | None) -> str:
    """Return what became of a request and what to do; empty before its end."""
    if event is None:
        return ""
    from layert2v_client import session  # only here: it loads gRPC

    if isinstance(event, session.RequestFailed):
        return " ".join(filter(None, (event.message, event.hint)))
    if isinstance(event, session.RequestLost):
        return "The server does not know this job, or it is another server."
    return "Cancelled" if isinstance(event, session.RequestCancelled) else "Done"
