"""One connection of the HTTP server, and which of them ends when there are too many.

Whoever can connect can open connections and say nothing, say it slowly, or not read the answer.
None of that may lock out others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256
HEAD_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 30.0


class HttpConnection(H11Protocol):
    """Ends where no whole head of a request comes in time, or where nobody reads the answer.

    uvicorn limits only the silence after an answer: whoever sends a letter a minute could stay. One
    connection too many ends one that waits for its caller, of the address that has the most of
    them; where all are at work, it is refused with 503.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _waits_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > MAX_CONNECTIONS and not self._make_room():
            self.limit_concurrency = 0  # of this one: uvicorn refuses its request

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            _cancel(self._head_timer)
            # Another request before the answer: no browser does that. Hundreds of them in a packet
            # would each take the time of the event loop, so the connection ends after this one.
            if not self.cycle.more_body and self.conn.trailing_data[0]:
                self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering():
            self._wait_for_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._send_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head_timer)
        _cancel(self._send_timer)
        super().connection_lost(exc)

    def end(self) -> None:
        """End the connection at once, and what it had still to send."""
        self.connections.discard(self)
        self.transport.abort()

    @property
    def address(self) -> str:
        """The address of the caller, without the port."""
        return "" if self.client is None else self.client[0]

    @property
    def waits_for_caller(self) -> bool:
        """Whether the next step is the caller's: to ask, to end the request, or to read."""
        return not self._is_answering() or self.cycle.more_body or self.flow.write_paused

    @property
    def order_of_ending(self) -> tuple[bool, float]:
        """Which of one address goes first, the smallest: the idle ones, the oldest of them."""
        return self._has_unsent(), self._waits_since

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _has_unsent(self) -> bool:
        return bool(self.transport.get_write_buffer_size())

    def _make_room(self) -> bool:
        """End another connection; return False where none waits for its caller."""
        connections: set[Any] = self.connections
        # This one has had no time to say anything.
        waiting = [each for each in connections if each.waits_for_caller and each is not self]
        if not waiting:
            return False
        counts = Counter(each.address for each in connections)
        most = max(counts[each.address] for each in waiting)
        candidates = [each for each in waiting if counts[each.address] == most]
        min(candidates, key=lambda each: each.order_of_ending).end()
        return True

    def _wait_for_head(self) -> None:
        _cancel(self._head_timer)
        self._waits_since = time.monotonic()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_waiting)

    def _end_waiting(self) -> None:
        if self._has_unsent():  # of a long answer, to somebody who reads slowly
            self._watch_sending()
            self.transport.close()  # when it is sent
        else:
            self.end()

    def _watch_sending(self) -> None:
        """End the connection where nothing at all can be sent for a while."""
        _cancel(self._send_timer)
        before = self.transport.get_write_buffer_size()

        def check() -> None:
            left = self.transport.get_write_buffer_size()
            if left >= before:
                self.end()
            elif left:
                self._watch_sending()

        self._send_timer = self.loop.call_later(SEND_TIMEOUT_S, check)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
