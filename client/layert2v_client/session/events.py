"""The events of a session, as frozen data and as JSON.

Knows no connection, no job and no thread. The bridge sends each as a notification of its name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Union

from layert2v.spec import FieldViolation, ModelInfo, model_to_json


@dataclass(frozen=True)
class Connected:
    """The server answers. Comes again when its models change: a server that starts has none yet."""

    server: str
    version: str
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True)
class AccountUpdated:
    """What this user has on the server, and may have, where that has changed.

    See ``layert2v_client.types.Account``.
    """

    user: str
    used_bytes: int
    max_bytes: int
    open_jobs: int
    queued_jobs: int
    max_open_jobs: int
    priorities: tuple[str, ...]


@dataclass(frozen=True)
class Disconnected:
    """The server does not answer.

    ``retry_in_s`` are seconds to the next try; None where trying again is of no use before the
    settings are others, such as after a wrong token.
    """

    reason: str
    message: str
    hint: str
    retry_in_s: float | None


@dataclass(frozen=True)
class RequestUpdated:
    """A request has moved on.

    ``state`` is one of ``STATES``. ``job`` is empty until the server has given it a name; keep it
    to attach again later. ``done`` of ``total`` counts what ``stage`` counts: steps or frames, and
    bytes in ``uploading`` and ``fetching``. ``fraction`` runs from 0 to 1 over ``running``;
    ``eta_s`` is seconds to the end, of a queued request to its start; ``queue_position`` counts the
    jobs ahead, None where there is no queue.
    """

    request_id: str
    job: str
    state: str
    stage: str = ""
    done: int = 0
    total: int = 0
    fraction: float = 0.0
    eta_s: float | None = None
    queue_position: int | None = None
    message: str = ""


@dataclass(frozen=True)
class PreviewUpdated:
    """A preview: ``path`` of a PNG that later previews of the request replace as a whole."""

    request_id: str
    path: str


@dataclass(frozen=True)
class RequestSucceeded:
    """The stack is in ``folder``; ``stack`` is its manifest's path, ``state`` the new state."""

    request_id: str
    job: str
    folder: str
    stack: str
    state: int


@dataclass(frozen=True)
class RequestFailed:
    """There is no result; ``violations`` name the wrong fields of the request, where they are why.

    ``job`` is empty where the server never took the request.
    """

    request_id: str
    job: str
    reason: str
    message: str
    hint: str
    violations: tuple[FieldViolation, ...] = ()


@dataclass(frozen=True)
class RequestCancelled:
    """The artist, or somebody else, cancelled it."""

    request_id: str
    job: str


@dataclass(frozen=True)
class RequestLost:
    """The server has no such job: it was deleted, or this is another server."""

    request_id: str
    job: str


Event = Union[
    Connected,
    AccountUpdated,
    Disconnected,
    RequestUpdated,
    PreviewUpdated,
    RequestSucceeded,
    RequestFailed,
    RequestCancelled,
    RequestLost,
]

# In the order of a request's life; a request may skip some, and go back to waiting.
STATES = ("waiting", "uploading", "queued", "running", "cancelling", "fetching")
TERMINAL = (RequestSucceeded, RequestFailed, RequestCancelled, RequestLost)


def event_to_json(event: Event) -> dict[str, Any]:
    """Return the fields of an event as JSON values."""
    if isinstance(event, Connected):
        return {**vars(event), "models": [model_to_json(model) for model in event.models]}
    return asdict(event)
