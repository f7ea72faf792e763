"""A thread that does one thing with each piece of data, in order, beside the one that brings it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

MAX_WAITING = 2  # pieces, so that memory stays bounded where the work is the slower side


class OrderedWorker(AbstractContextManager["OrderedWorker"]):
    """Calls ``work`` with each piece that is ``put``, until the end of a ``with`` block.

    The end waits for all of them. What ``work`` raises is raised by the next ``put`` or the end.
    """

    def __init__(self, work: Callable[[memoryview], object]) -> None:
        self._work = work
        # Queues in C, for which Ctrl-C comes before or after a call: one that breaks off
        # ``queue.Queue`` in the middle leaves it so that nobody wakes.
        self._pieces: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(MAX_WAITING):
            self._places.put(None)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, piece: memoryview) -> None:
        """Hand over one piece; wait where too many are waiting."""
        self._raise()
        self._places.get()
        self._pieces.put(piece)

    def __exit__(self, kind: object, *exc_info: object) -> None:
        self._pieces.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._places.put(None)
            if self._error is None:  # after an error the rest is only taken
                try:
                    self._work(piece)
                except BaseException as error:
                    self._error = error
