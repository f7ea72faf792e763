"""A session whose events are recorded, so that tests can wait for a moment and look back."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fakes.fake_engine import ENGINE
from fakes.live_server import QUICK_SETTINGS, WAIT_TIMEOUT_S
from layert2v_client.session import Session, SessionSettings
from layert2v_client.session.events import TERMINAL, Event, RequestUpdated

E = TypeVar("E")


class RecordedSession:
    """A session with all events that were read so far in ``events``."""

    def __init__(self, settings: SessionSettings) -> None:
        self.session = Session(settings)
        self.events: list[Event] = []
        self._unread: deque[Event] = deque()

    def __enter__(self) -> RecordedSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def wait(self, kind: type[E], fits: Callable[[E], bool] = lambda event: True) -> E:
        """Return the next event of a kind that fits; fail where a request ends before."""
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self._unread:
                self._unread.extend(self.session.events(0.2))
            while self._unread:
                event = self._unread.popleft()
                self.events.append(event)
                if isinstance(event, kind) and fits(event):
                    return event
                assert not isinstance(event, TERMINAL), event
        raise AssertionError(f"no {kind.__name__} in {self.events[-5:]}")

    def state(self, state: str) -> RequestUpdated:
        """Wait until a request is in a state."""
        return self.wait(RequestUpdated, lambda event: event.state == state)


def fake_server_config(folder: Path, **settings: Any) -> Path:
    """Return a configuration with which servers that others start have the engine of the tests."""
    path = folder / "fake_server.toml"
    table = {"engine": ENGINE, "devices": ["cpu"], **QUICK_SETTINGS, **settings}
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    path.write_text("\n".join(["[server]", *lines]))
    return path
