"""What a session tells: as JSON and back, and in a queue that stays short."""

from __future__ import annotations

import json

import pytest

from fakes.fake_engine import MODEL
from layert2v.spec import FieldViolation, model_from_json
from layert2v_client.session.events import (
    TERMINAL,
    AccountUpdated,
    Connected,
    Disconnected,
    Event,
    PreviewUpdated,
    RequestCancelled,
    RequestFailed,
    RequestLost,
    RequestSucceeded,
    RequestUpdated,
    event_to_json,
)

EVENTS: list[Event] = [
    Connected("render01:7433", "0.1.0", (MODEL,)),
    AccountUpdated("anna", 5, 10, 2, 1, 100, ("low", "normal")),
    Disconnected("AWAY", "It is away.", "Wait.", None),
    Disconnected("AWAY", "It is away.", "Wait.", 0.5),
    RequestUpdated("r", "jobs/1", "running", "denoise", 1, 4, 0.25, 3.5, None, "words"),
    RequestUpdated("r", "", "waiting"),
    PreviewUpdated("r", "/cache/r.png"),
    RequestSucceeded("r", "jobs/1", "/shots/fox", "/shots/fox/stack.json", 2),
    RequestFailed("r", "", "NO", "No.", "", (FieldViolation("width", "Even."),)),
    RequestCancelled("r", ""),
    RequestLost("r", "jobs/1"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_field_is_in_the_json(event: Event) -> None:
    values = json.loads(json.dumps(event_to_json(event)))
    assert values.keys() == vars(event).keys()


def test_models_and_violations_are_objects() -> None:
    connected, failed = event_to_json(EVENTS[0]), event_to_json(EVENTS[8])
    assert model_from_json(json.loads(json.dumps(connected))["models"][0]) == MODEL
    assert failed["violations"] == ({"field": "width", "message": "Even."},)


def test_only_the_end_of_a_request_is_terminal() -> None:
    assert [isinstance(event, TERMINAL) for event in EVENTS] == [False] * 7 + [True] * 4
