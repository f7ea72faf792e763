"""The queue of a session's events, which stays short."""

from __future__ import annotations

import threading

from layert2v_client.session import (
    Connected,
    Disconnected,
    PreviewUpdated,
    RequestCancelled,
    RequestUpdated,
)
from layert2v_client.session.event_queue import EventQueue

BACK = Connected("render01:7433", "0.1.0", ())
AWAY = Disconnected("AWAY", "It is away.", "Wait.", None)


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
    away, back = AWAY, BACK
    for event in (back, away, back, away, back):
        queue.put(event)
    assert queue.take() == [away, back]


def test_waiting_ends_with_an_event_or_a_call() -> None:
    queue = EventQueue()
    threading.Timer(0.1, queue.put, [BACK]).start()
    assert queue.take(60.0) == [BACK]
    threading.Timer(0.1, queue.wake).start()
    assert queue.take(60.0) == []
