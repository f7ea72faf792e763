"""Menus, panels, buttons and the timer, with Qt's names stubbed or absent."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.nk_session import PluginSession
from layert2v_nuke import preferences, ui

COMMANDS = [
    "Generate", "Decompose", "Import stack", "Explode", "Retry pending", "Preferences",
    "Self-check",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("plugin_api")


@pytest.mark.parametrize("bar", ["Nuke", "Nodes"])
def test_menu_and_toolbar_have_every_command(session: PluginSession, bar: str) -> None:
    assert list(session.nuke.menu(bar).menus["LayerT2V"].commands) == COMMANDS


def test_the_menu_makes_a_node_and_its_button_asks(session: PluginSession) -> None:
    session.run_command("Generate")
    session.node()["prompt"].setValue("a fox")
    session.nuke.press(session.node(), "generate")
    session.controller.pump()
    session.connect()
    assert session.bridge.last("generate")["spec"]["prompt"] == "a fox"


def test_the_menu_imports_and_explodes(session: PluginSession, foxes: Path) -> None:
    session.nuke.dialog_answers["Choose stack.json of a layer stack"] = str(foxes / "stack.json")
    session.run_command("Import stack")
    session.node().setSelected(True)
    session.run_command("Explode")
    assert "Merge_fg_02" in session.nuke.dump()
    assert session.nuke.undo() == "Explode LayerT2V"
    assert list(session.nuke.dump()) == ["LayerT2V1"]


def test_preferences_are_kept_for_their_owner_alone(session: PluginSession, tmp_path: Path) -> None:
    session.nuke.dialog_answers[ui.TITLE] = {
        "Server (empty: this machine)": "render01:7433", "Token": "secret",
        "Server paths (theirs=ours; ...)": "/mnt/a=/Volumes/a; /mnt/b = /Volumes/b",
    }  # fmt: skip
    session.run_command("Preferences")
    path = tmp_path / ".nuke" / "layert2v.json"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = preferences.load(path, {"LAYERT2V_PYTHON": "/session/python"})
    assert (kept.server, kept.python) == ("render01:7433", "/session/python")
    assert kept.path_map == (("/mnt/a", "/Volumes/a"), ("/mnt/b", "/Volumes/b"))
    assert "secret" not in str(session.nuke.dump())


class QTimer:
    """What the plug-in uses of Qt's."""

    def __init__(self) -> None:
        self.timeout, self.active, self.calls = self, False, []

    def connect(self, call: Any) -> None:
        self.calls.append(call)

    def start(self, interval: int) -> None:
        self.active = True

    def stop(self) -> None:
        self.active = False

    def isActive(self) -> bool:
        return self.active


@pytest.mark.parametrize("binding", ["PySide2", "PySide6"])
def test_the_timer_is_qt_s_where_there_is_qt(monkeypatch: pytest.MonkeyPatch, binding: str) -> None:
    core = ModuleType(f"{binding}.QtCore")
    core.QTimer = QTimer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, binding, ModuleType(binding))
    monkeypatch.setitem(sys.modules, f"{binding}.QtCore", core)
    ticks: list[int] = []
    timer = ui.Timer(FakeNuke(), lambda: ticks.append(1), lambda: len(ticks) < 2)
    timer.start()
    timer.start()
    timer._qt.calls[0]()
    assert timer._qt.active
    timer._qt.calls[0]()
    assert (len(ticks), timer._qt.active) == (2, False)


def test_without_qt_a_thread_asks_the_main_thread() -> None:
    nuke, ticks = FakeNuke(), []
    timer = ui.Timer(nuke, lambda: ticks.append(threading.current_thread()), lambda: len(ticks) < 3)
    timer.start()
    timer.start()
    for _ in range(1000):
        nuke.run_event_loop()
        time.sleep(0.01)
        if timer._thread is not None and not timer._thread.is_alive():
            break
    assert ticks == [threading.current_thread()] * 3


def test_without_an_interface_there_is_no_timer() -> None:
    timer = ui.Timer(FakeNuke(gui=False), lambda: None, lambda: True)
    timer.start()
    assert timer._thread is None
