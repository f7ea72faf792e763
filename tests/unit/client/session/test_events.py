"""What a session tells: as JSON and back, and in a queue that stays short."""

from __future__ import annotations

import json
import threading

import pytest

from fakes.fake_engine import MODEL
from layert2v.errors import SpecError
from layert2v.spec import FieldViolation
from layert2v_client.session.event_queue import EventQueue
from layert2v_client.session.events import (
    Connected,
    Disconnected,
    Event,
    PreviewUpdated,
    RequestCancelled,
    RequestFailed,
    RequestLost,
    RequestSucceeded,
    RequestUpdated,
    from_json,
    to_json,
)

EVENTS: list[Event] = [
    Connected("render01:7433", "0.1.0", (MODEL,)),
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
def test_there_and_back(event: Event) -> None:
    assert from_json(json.loads(json.dumps(to_json(event)))) == event


@pytest.mark.parametrize(
    "change",
    [{"event": "JobLost"}, {"state": "asleep"}, {"done": "1"}, {"eta_s": "soon"}, {"more": 1}],
)
def test_other_shapes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        from_json({**to_json(EVENTS[4]), **change})


def progress(request: str, done: int) -> RequestUpdated:
    return RequestUpdated(request, "jobs/1", "running", done=done)


def test_newer_progress_replaces_older_of_the_same_request() -> None:
    queue = EventQueue()
    for done in range(1000):
        queue.put(progress("a", done))
        queue.put(progress("b", done))
        queue.put(PreviewUpdated("a", f"{done}.png"))
    assert queue.take() == [progress("a", 999), progress("b", 999), PreviewUpdated("a", "999.png")]
    assert queue.take() == []


def test_ends_are_never_replaced_and_end_the_progress() -> None:
    queue = EventQueue()
    queue.put(progress("a", 1))
    queue.put(RequestCancelled("a", "jobs/1"))
    queue.put(progress("a", 2))  # asked again
    queue.put(RequestCancelled("a", "jobs/1"))
    assert queue.take() == [RequestCancelled("a", "jobs/1")] * 2


def test_the_line_comes_and_goes_in_order() -> None:
    queue = EventQueue()
    away, back = EVENTS[1], EVENTS[0]
    for event in (back, away, back, away, back):
        queue.put(event)
    assert queue.take() == [away, back]


def test_waiting_ends_with_an_event_or_a_call() -> None:
    queue = EventQueue()
    threading.Timer(0.1, queue.put, [EVENTS[0]]).start()
    assert queue.take(60.0) == [EVENTS[0]]
    threading.Timer(0.1, queue.wake).start()
    assert queue.take(60.0) == []
