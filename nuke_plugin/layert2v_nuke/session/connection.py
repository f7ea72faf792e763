"""The connection to the bridge: started when it is needed, and again when it is lost.

Knows when to try again, not what is sent. Never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from layert2v_nuke.errors import BridgeFailed, PluginError

RESTART_S = (1.0, 2.0, 5.0, 10.0, 30.0)
# Starting the bridge again would fail in the same way.
_FINAL = ("BRIDGE_NO_PYTHON", "BRIDGE_NOT_STARTED", "BRIDGE_OTHER_VERSION")


class BridgeTransport(Protocol):
    """The methods of a bridge that the connection uses."""

    def send(self, method: str, **params: Any) -> int:
        """Queue a request and return its id. Raises ``BridgeFailed``."""

    def drain(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived. Raises ``BridgeFailed``."""

    def close(self) -> None:
        """End the bridge; return at once."""


class Connection:
    """The connection to the bridge.

    ``start_bridge`` starts one, ``settings`` are what it connects to the server with, ``clock``
    gives seconds that never go back.
    """

    def __init__(
        self,
        start_bridge: Callable[[], BridgeTransport],
        settings: Callable[[], Mapping[str, Any]],
        clock: Callable[[], float],
    ) -> None:
        self._start_bridge, self._settings, self._clock = start_bridge, settings, clock
        self._bridge: BridgeTransport | None = None
        self._failures, self._not_before = 0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether a bridge is running."""
        return self._bridge is not None

    def open(self) -> bool:
        """Start a bridge if it is time to, and return whether it did. Raises ``PluginError``."""
        if self._bridge is not None or self._clock() < self._not_before:
            return False
        try:
            self._bridge = self._start_bridge()
            self._bridge.send("connect", settings=dict(self._settings()))
        except PluginError:
            self._schedule_restart()
            raise
        return True

    def send(self, method: str, **params: Any) -> int:
        """Queue a request and return its id; 0 where no bridge is running."""
        if self._bridge is None:
            return 0
        try:
            return self._bridge.send(method, **params)
        except BridgeFailed:
            return 0  # the next ``drain`` raises it, and the caller handles it there

    def drain(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived.

        Raises ``BridgeFailed`` when the bridge is lost; it is closed then.
        """
        if self._bridge is None:
            return []
        try:
            return self._bridge.drain()
        except BridgeFailed:
            self._schedule_restart()
            raise

    def reset_backoff(self) -> None:
        """Count failures from 0 again: the bridge has connected."""
        self._failures = 0

    def retry_now(self) -> None:
        """Let the next ``open`` try again at once."""
        self._not_before = 0.0

    def close(self) -> None:
        """End the bridge."""
        if self._bridge is not None:
            self._bridge.close()
        self._bridge = None

    def _schedule_restart(self) -> None:
        self.close()
        self._not_before = self._clock() + RESTART_S[min(self._failures, len(RESTART_S) - 1)]
        self._failures += 1


def is_final(error: PluginError) -> bool:
    """Return whether starting the bridge again would fail in the same way."""
    return error.reason in _FINAL
