"""What a session tells its host, as frozen data and as JSON.

Knows no line, no job and no thread: a bridge writes these as lines, a host reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Union

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.spec import FieldViolation, ModelInfo, model_from_json, model_to_json


@dataclass(frozen=True)
class Connected:
    """The server answers. Comes again when its models change: a server that starts has none yet."""

    server: str
    version: str
    models: tuple[ModelInfo, ...]


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
    ``queue_position`` counts the jobs ahead, None where there is no queue.
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
    """A first look: ``path`` of a PNG that later previews of the request replace as a whole."""

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
    """Nothing came of it; ``violations`` name the wrong fields of the request, where they are it.

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
    """The artist, or somebody else, stopped it."""

    request_id: str
    job: str


@dataclass(frozen=True)
class RequestLost:
    """The server has no such job: it was deleted, or this is another server."""

    request_id: str
    job: str


Event = Union[
    Connected,
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


def to_json(event: Event) -> dict[str, Any]:
    """The event as JSON values; the key ``event`` holds its name."""
    values: dict[str, Any]
    if isinstance(event, Connected):
        models = [model_to_json(model) for model in event.models]
        values = {**vars(event), "models": models}
    else:
        values = asdict(event)
    if isinstance(event, RequestFailed):
        values["violations"] = [asdict(violation) for violation in event.violations]
    return {"event": type(event).__name__, **values}


def from_json(value: Any) -> Event:
    """Read what ``to_json`` wrote. Raises ``SpecError`` for any other shape."""
    fields = JsonObject(value, "", SpecError)
    name = fields.text("event")
    if name not in _READERS:
        raise fields.value_error("event", "one of " + ", ".join(_READERS))
    event = _READERS[name](fields)
    fields.done()
    return event


def _connected(fields: JsonObject) -> Connected:
    models = fields.value("models")
    if not isinstance(models, list):
        raise fields.value_error("models", "a list")
    return Connected(
        server=fields.text("server"),
        version=fields.text("version"),
        models=tuple(model_from_json(model) for model in models),
    )


def _disconnected(fields: JsonObject) -> Disconnected:
    return Disconnected(
        reason=fields.text("reason"),
        message=fields.text("message"),
        hint=fields.text("hint"),
        retry_in_s=_optional_number(fields, "retry_in_s"),
    )


def _changed(fields: JsonObject) -> RequestUpdated:
    state = fields.text("state")
    if state not in STATES:
        raise fields.value_error("state", "one of " + ", ".join(STATES))
    return RequestUpdated(
        request_id=fields.text("request_id"),
        job=fields.text("job"),
        state=state,
        stage=fields.text("stage"),
        done=fields.integer("done"),
        total=fields.integer("total"),
        fraction=fields.number("fraction"),
        eta_s=_optional_number(fields, "eta_s"),
        queue_position=fields.optional_integer("queue_position"),
        message=fields.text("message"),
    )


def _preview(fields: JsonObject) -> PreviewUpdated:
    return PreviewUpdated(request_id=fields.text("request_id"), path=fields.text("path"))


def _done(fields: JsonObject) -> RequestSucceeded:
    return RequestSucceeded(
        request_id=fields.text("request_id"),
        job=fields.text("job"),
        folder=fields.text("folder"),
        stack=fields.text("stack"),
        state=fields.integer("state"),
    )


def _failed(fields: JsonObject) -> RequestFailed:
    return RequestFailed(
        request_id=fields.text("request_id"),
        job=fields.text("job"),
        reason=fields.text("reason"),
        message=fields.text("message"),
        hint=fields.text("hint"),
        violations=fields.objects(
            "violations", lambda inner: FieldViolation(inner.text("field"), inner.text("message"))
        ),
    )


def _cancelled(fields: JsonObject) -> RequestCancelled:
    return RequestCancelled(request_id=fields.text("request_id"), job=fields.text("job"))


def _unknown(fields: JsonObject) -> RequestLost:
    return RequestLost(request_id=fields.text("request_id"), job=fields.text("job"))


def _optional_number(fields: JsonObject, key: str) -> float | None:
    value = fields.value(key)
    if value is None:
        return None
    return JsonObject({key: value}, "", SpecError).number(key)


_READERS: dict[str, Callable[[JsonObject], Event]] = {
    "Connected": _connected,
    "Disconnected": _disconnected,
    "RequestUpdated": _changed,
    "PreviewUpdated": _preview,
    "RequestSucceeded": _done,
    "RequestFailed": _failed,
    "RequestCancelled": _cancelled,
    "RequestLost": _unknown,
}
