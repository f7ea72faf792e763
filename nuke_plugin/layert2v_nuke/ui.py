"""Menus, panels and the timer. Decides nothing; with Qt or without.

Nothing is dispatched to the main thread while Nuke starts: the timer begins with the first use.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from layert2v_nuke import preferences
from layert2v_nuke.preferences import Preferences

TICK_S = 0.1
TITLE = "LayerT2V preferences"
_FIELDS = {
    "Server (empty: this machine)": "server",
    "Token": "token",
    "Certificate": "certificate",
    "Python of the bridge": "python",
    "Python of a server on this machine": "server_python",
    "Folder for stacks": "stacks",
    "Folder for the cache": "cache",
}
_LIMIT, _PATHS = "Cache limit in GB", "Server paths (theirs=ours; ...)"


class Timer:
    """Calls ``tick`` on the main thread while ``busy`` says so; ``start`` may come at any time."""

    def __init__(self, nuke: Any, tick: Callable[[], None], busy: Callable[[], bool]) -> None:
        self._nuke, self._tick, self._busy = nuke, tick, busy
        self._qt = _qt_timer(self._once) if nuke.GUI else None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, where it has not begun. Without an interface there is nobody to serve it."""
        if self._qt is not None:
            if not self._qt.isActive():
                self._qt.start(int(TICK_S * 1000))
        elif self._nuke.GUI and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="layert2v_timer", daemon=True)
            self._thread.start()

    def _once(self) -> None:
        self._tick()
        if not self._busy() and self._qt is not None:
            self._qt.stop()

    def _run(self) -> None:
        """Without Qt: a thread that asks the main thread to tick, and waits until it has."""
        done, go_on = threading.Event(), [True]

        def tick() -> None:
            try:
                self._tick()
                go_on[0] = self._busy()
            finally:
                done.set()

        while go_on[0]:
            done.clear()
            self._nuke.executeInMainThread(tick)
            done.wait()
            time.sleep(TICK_S)


def menus(nuke: Any, commands: dict[str, Callable[[], None]]) -> None:
    """The menu and the toolbar, with the same commands."""
    for bar in (nuke.menu("Nuke"), nuke.toolbar("Nodes")):
        ours = bar.addMenu("LayerT2V")
        for label, command in commands.items():
            ours.addCommand(label, command)


def ask_preferences(nuke: Any, now: Preferences) -> Preferences | None:
    """What the artist wants from now on; None where nothing was changed."""
    panel = nuke.Panel(TITLE)
    for label, name in _FIELDS.items():
        panel.addSingleLineInput(label, getattr(now, name))
    panel.addSingleLineInput(_LIMIT, f"{now.cache_limit_gb:g}")
    panel.addSingleLineInput(_PATHS, "; ".join("=".join(pair) for pair in now.path_map))
    if not panel.show():
        return None
    texts = {name: str(panel.value(label) or "").strip() for label, name in _FIELDS.items()}
    return replace(
        now,
        **texts,
        cache_limit_gb=preferences.gigabytes(str(panel.value(_LIMIT))),
        path_map=preferences.pairs(str(panel.value(_PATHS) or "")),
    )


def _qt_timer(tick: Callable[[], None]) -> Any:
    """A timer of the Qt that this Nuke has; None where it has none that we know."""
    for binding in ("PySide6", "PySide2"):
        try:
            core = importlib.import_module(f"{binding}.QtCore")
        except ImportError:
            continue
        timer = core.QTimer()
        timer.timeout.connect(tick)
        return timer
    return None
