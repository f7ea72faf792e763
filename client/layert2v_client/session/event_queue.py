"""Events between the threads of a session and its host: bounded, whatever the host does.

Knows which events may replace each other, not what they mean.
"""

from __future__ import annotations

import threading

from layert2v_client.session.events import TERMINAL, Event, RequestUpdated


class EventQueue:
    """Events by subject: what a host has not read yet is replaced by what is newer.

    Only how a request ended is never replaced, so the queue is as long as the list of requests.
    """

    def __init__(self) -> None:
        self._events: dict[tuple[object, ...], Event] = {}
        self._ready = threading.Condition()
        self._ended = 0

    def put(self, event: Event) -> None:
        """Add an event behind all others; never wait."""
        request = getattr(event, "request_id", "")
        key: tuple[object, ...] = (type(event), request)
        with self._ready:
            if isinstance(event, TERMINAL):
                self._events.pop((RequestUpdated, request), None)
                self._ended += 1
                key = ("ended", self._ended)
            self._events.pop(key, None)
            self._events[key] = event
            self._ready.notify_all()

    def wake(self) -> None:
        """Let every ``take`` that waits return."""
        with self._ready:
            self._ready.notify_all()

    def take(self, timeout_s: float = 0.0) -> list[Event]:
        """Return all events, oldest first; wait up to ``timeout_s`` seconds for one."""
        with self._ready:
            if not self._events:
                self._ready.wait(timeout_s)
            events = list(self._events.values())
            self._events.clear()
        return events
