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
_FIELD_LABELS = {
    "Server (empty: this machine)": "server",
    "Token": "token",
    "Certificate": "certificate",
    "Python of the bridge": "python",
    "Python of a server on this machine": "server_python",
    "Folder for stacks": "stacks",
    "Folder for the cache": "cache",
}
_NEAREST_LABEL = "Nearest color space where the project lacks a stack's (else raw)"
_LIMIT_LABEL, _PATHS_LABEL = "Cache limit in GB", "Server paths (theirs=ours; ...)"


class Timer:
    """A timer that calls ``tick`` on the main thread while ``busy()`` is true.

    ``start`` may be called at any time.
    """

    def __init__(self, nuke: Any, tick: Callable[[], None], busy: Callable[[], bool]) -> None:
        self._nuke, self._tick, self._busy = nuke, tick, busy
        self._qt = _qt_timer(self._tick_qt) if nuke.GUI else None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start where it is not running. Without an interface there is no event loop to run it."""
        if self._qt is not None:
            if not self._qt.isActive():
                self._qt.start(int(TICK_S * 1000))
        elif self._nuke.GUI and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(
                target=self._run_thread, name="layert2v_timer", daemon=True
            )
            self._thread.start()

    def _tick_qt(self) -> None:
        self._tick()
        if not self._busy() and self._qt is not None:
            self._qt.stop()

    def _run_thread(self) -> None:
        """Ask the main thread to tick, from a thread, and wait until it has: without Qt."""
        done, keep_running = threading.Event(), [True]

        def tick() -> None:
            try:
                self._tick()
                keep_running[0] = self._busy()
            finally:
                done.set()

        while keep_running[0]:
            done.clear()
            self._nuke.executeInMainThread(tick)
            done.wait()
            time.sleep(TICK_S)


def add_menus(nuke: Any, commands: dict[str, Callable[[], None]]) -> None:
    """Add the menu and the toolbar, with the same commands."""
    for bar in (nuke.menu("Nuke"), nuke.toolbar("Nodes")):
        menu = bar.addMenu("LayerT2V")
        for label, command in commands.items():
            menu.addCommand(label, command)


def ask_preferences(nuke: Any, current: Preferences) -> Preferences | None:
    """Return the preferences that the artist enters; None where the dialog is cancelled."""
    panel = nuke.Panel(TITLE)
    for label, name in _FIELD_LABELS.items():
        panel.addSingleLineInput(label, getattr(current, name))
    panel.addSingleLineInput(_LIMIT_LABEL, f"{current.cache_limit_gb:g}")
    panel.addSingleLineInput(_PATHS_LABEL, "; ".join("=".join(pair) for pair in current.path_map))
    panel.addBooleanCheckBox(_NEAREST_LABEL, current.nearest_colorspace)
    if not panel.show():
        return None
    texts = {name: str(panel.value(label) or "").strip() for label, name in _FIELD_LABELS.items()}
    return replace(
        current,
        **texts,
        cache_limit_gb=preferences.parse_cache_limit(str(panel.value(_LIMIT_LABEL))),
        path_map=preferences.parse_path_map(str(panel.value(_PATHS_LABEL) or "")),
        nearest_colorspace=bool(panel.value(_NEAREST_LABEL)),
    )


def _qt_timer(tick: Callable[[], None]) -> Any:
    """Return a timer of the Qt that this Nuke has; None where it has none that we know."""
    for binding in ("PySide6", "PySide2"):
        try:
            core = importlib.import_module(f"{binding}.QtCore")
        except ImportError:
            continue
        timer = core.QTimer()
        timer.timeout.connect(tick)
        return timer
    return None
