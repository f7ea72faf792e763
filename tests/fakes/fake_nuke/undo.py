"""Undo of the fake: named groups of steps, and stretches that are not noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakes.fake_nuke.rules import Forbidden

Step = tuple[Callable[[], Any], Callable[[], Any], str]


class History:
    """What can be undone. Creations call back as in Nuke: onDestroy when they are undone."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.clear()

    def clear(self) -> None:
        self.undo_steps: list[tuple[str, list[Step]]] = []
        self.redo_steps: list[tuple[str, list[Step]]] = []
        self.open: list[tuple[str, list[Step]]] = []
        self.disabled = 0

    def record(self, forward: Callable[[], Any], backward: Callable[[], Any], what: str) -> None:
        if self.disabled:
            return
        self.redo_steps.clear()
        if self.open:
            self.open[-1][1].append((forward, backward, what))
        else:
            self.undo_steps.append((what, [(forward, backward, what)]))

    def undo(self) -> str:
        if self.open or self.disabled:
            raise Forbidden("an undo group is still open, or undo is off")
        name, steps = self.undo_steps.pop()
        before = list(self._app.all_states())
        for _, backward, _ in reversed(steps):
            backward()
        self.redo_steps.append((name, steps))
        self._call_on_destroy(before)
        return name

    def redo(self) -> None:
        name, steps = self.redo_steps.pop()
        for forward, _, _ in steps:
            forward()
        self.undo_steps.append((name, steps))

    def _call_on_destroy(self, before: list[Any]) -> None:
        for state in before:
            if not state.alive:
                state.alive = True  # onDestroy is called before it is gone
                self._app.call_back("destroy", state)
                state.alive = False


class Undo:
    """``nuke.Undo``."""

    def __init__(self, history: History) -> None:
        self._history = history

    def begin(self, name: str = "") -> None:
        self._history.open.append((name, []))

    def end(self) -> None:
        name, steps = self._history.open.pop()
        if not steps:
            return
        if self._history.open:
            self._history.open[-1][1].extend(steps)
        elif not self._history.disabled:
            self._history.undo_steps.append((name, steps))

    def cancel(self) -> None:
        """End the group and take back what was in it."""
        _, steps = self._history.open.pop()
        for _, backward, _ in reversed(steps):
            backward()

    def disable(self) -> None:
        self._history.disabled += 1

    def enable(self) -> None:
        if self._history.disabled == 0:
            raise Forbidden("undo was not off")
        self._history.disabled -= 1
