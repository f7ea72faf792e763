"""One line to the bridge that is opened when it is wanted, and again when it is lost.

Knows when to try again, not what is said. Never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from layert2v_nuke.errors import BridgeFailed, PluginError

RESTART_S = (1.0, 2.0, 5.0, 10.0, 30.0)
# Starting the same again would end the same.
_FINAL = ("BRIDGE_NO_PYTHON", "BRIDGE_NOT_STARTED", "BRIDGE_OTHER_VERSION")


class Line(Protocol):
    """What is needed of a bridge."""

    def send(self, method: str, **params: Any) -> int:
        """Queue a request and return its id. Raises ``BridgeFailed``."""

    def drain(self) -> list[dict[str, Any]]:
        """What has come. Raises ``BridgeFailed``."""

    def close(self) -> None:
        """End it, at once."""


class Connection:
    """``open_line`` starts a bridge, ``settings`` are what it connects with."""

    def __init__(
        self,
        open_line: Callable[[], Line],
        settings: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self._open_line, self._settings, self._clock = open_line, settings, clock
        self._line: Line | None = None
        self._failures, self._not_before = 0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether there is a bridge to speak to."""
        return self._line is not None

    def open(self) -> bool:
        """Whether a new line was opened; not before its time. Raises ``PluginError``."""
        if self._line is not None or self._clock() < self._not_before:
            return False
        try:
            self._line = self._open_line()
            self._line.send("connect", settings=dict(self._settings()))
        except PluginError:
            self._lost()
            raise
        return True

    def send(self, method: str, **params: Any) -> int:
        """Queue a request and return its id; 0 where there is no line."""
        if self._line is None:
            return 0
        try:
            return self._line.send(method, **params)
        except BridgeFailed:
            return 0  # the next ``drain`` finds the same, and there it is handled

    def drain(self) -> list[dict[str, Any]]:
        """What has come. Raises ``BridgeFailed`` when the line is lost; it is closed then."""
        if self._line is None:
            return []
        try:
            return self._line.drain()
        except BridgeFailed:
            self._lost()
            raise

    def settled(self) -> None:
        """The other side works: the next failure is the first again."""
        self._failures = 0

    def hurry(self) -> None:
        """Try again at once."""
        self._not_before = 0.0

    def close(self) -> None:
        """End the line."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _lost(self) -> None:
        self.close()
        self._not_before = self._clock() + RESTART_S[min(self._failures, len(RESTART_S) - 1)]
        self._failures += 1


def is_final(problem: PluginError) -> bool:
    """Whether trying again is of no use."""
    return problem.reason in _FINAL
