"""Menus, panels, buttons and the timer, with Qt's names stubbed or absent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.nk_session import PluginSession
from layert2v_nuke import api, preferences, ui
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.host import Host
from layert2v_nuke.preferences import Preferences

COMMANDS = [
    "Generate", "Import stack", "Explode", "Retry pending", "Preferences", "Self-check",
]  # fmt: skip


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSession]:
    made = PluginSession(tmp_path)
    monkeypatch.setattr(api, "plugin_state", lambda: made.plugin)
    monkeypatch.setattr(preferences, "nuke_folder", lambda: tmp_path / ".nuke")
    api.install()
    return made


def command(session: PluginSession, label: str) -> None:
    session.nuke.menu("Nuke").menus["LayerT2V"].commands[label][0]()


@pytest.mark.parametrize("bar", ["Nuke", "Nodes"])
def test_menu_and_toolbar_have_every_command(session: PluginSession, bar: str) -> None:
    assert list(session.nuke.menu(bar).menus["LayerT2V"].commands) == COMMANDS


def test_the_menu_makes_a_node_and_its_button_asks(session: PluginSession) -> None:
    command(session, "Generate")
    session.node()["prompt"].setValue("a fox")
    session.nuke.press(session.node(), "generate")
    session.controller.pump()
    session.connect()
    assert session.bridge.last("generate")["spec"]["prompt"] == "a fox"


def test_the_menu_imports_and_explodes(session: PluginSession, foxes: Path) -> None:
    session.nuke.dialog_answers["Choose stack.json of a layer stack"] = str(foxes / "stack.json")
    command(session, "Import stack")
    session.node().setSelected(True)
    command(session, "Explode")
    assert "Merge_fg_02" in session.nuke.dump()
    assert session.nuke.undo() == "Explode LayerT2V"
    assert list(session.nuke.dump()) == ["LayerT2V1"]


def test_a_folder_without_a_stack_is_one_sentence(session: PluginSession, tmp_path: Path) -> None:
    session.nuke.dialog_answers["Choose stack.json of a layer stack"] = str(tmp_path)
    command(session, "Import stack")
    assert session.nuke.messages[0].startswith("There is no stack.json")
    assert session.nuke.dump() == {}


def test_an_unexpected_error_stops_at_the_border(
    session: PluginSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.controller, "create", lambda: 1 / 0)
    command(session, "Generate")
    assert "ZeroDivisionError" in session.nuke.messages[0]
    assert session.nuke.messages[1].startswith("LayerT2V has failed")


def test_an_unexpected_error_of_the_timer_is_printed_without_a_dialog() -> None:
    nuke = FakeNuke()
    made = api.start(Host(nuke), Preferences())
    made.controller.pump = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    made.timer._tick()
    (said,) = nuke.messages
    assert "ZeroDivisionError" in said


def test_preferences_are_kept_for_their_owner_alone(session: PluginSession, tmp_path: Path) -> None:
    session.nuke.dialog_answers[ui.TITLE] = {
        "Server (empty: this machine)": "render01:7433", "Token": "secret",
        "Server paths (theirs=ours; ...)": "/mnt/a=/Volumes/a; /mnt/b = /Volumes/b",
    }  # fmt: skip
    command(session, "Preferences")
    path = tmp_path / ".nuke" / "layert2v.json"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = preferences.load(path, {"LAYERT2V_PYTHON": "/session/python"})
    assert (kept.server, kept.python) == ("render01:7433", "/session/python")
    assert kept.path_map == (("/mnt/a", "/Volumes/a"), ("/mnt/b", "/Volumes/b"))
    assert "secret" not in str(session.nuke.dump())


@pytest.mark.parametrize(
    "text",
    ["{", '{"serve": ""}', '{"server": 7}', '{"path_map": [1]}', "[]", '{"cache_limit_gb": "x"}'],
)
def test_preferences_that_are_not_right_are_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(BadRequest) as refused:
        preferences.load(tmp_path / "p.json", {})
    assert "p.json" in refused.value.message


def test_the_node_s_buttons_say_where_the_plug_in_is_missing(session: PluginSession) -> None:
    command(session, "Generate")
    before = sys.modules.pop("layert2v_nuke.api")
    sys.modules["layert2v_nuke.api"] = None  # type: ignore[assignment]
    api_name = sys.modules["layert2v_nuke"].__dict__.pop("api")
    try:
        session.nuke.press(session.node(), "generate")
        session.nuke.change(session.node(), "prompt", "a fox")
    finally:
        sys.modules["layert2v_nuke.api"] = before
        sys.modules["layert2v_nuke"].api = api_name  # type: ignore[attr-defined]
    assert session.nuke.messages == ["This button needs the LayerT2V plug-in. The pictures do not."]


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


def test_pipeline_code_waits_for_its_result(session: PluginSession, foxes: Path) -> None:
    uuid = api.create(prompt="a fox")
    api.generate(uuid)
    session.controller.pump()
    session.connect()
    session.bridge.incoming.append(
        {"event": "RequestSucceeded", "request_id": session.value("l2v_request"), "job": "jobs/1",
         "folder": str(foxes), "stack": "", "state": 1}
    )  # fmt: skip
    assert api.wait(uuid, timeout_s=10) == "done"
    assert "5 layers" in api.message(uuid)
    api.explode(uuid)
    assert "Merge_fg_01" in session.nuke.dump()


def test_defaults_need_no_file(tmp_path: Path) -> None:
    assert preferences.load(tmp_path / "none.json", {}) == Preferences()


def test_wrong_preferences_do_not_keep_nuke_from_its_menu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "nuke_folder", lambda: tmp_path)
    (tmp_path / "layert2v.json").write_text("{")
    with FakeNuke().as_module() as nuke:
        made = api.plugin_state.__wrapped__()
    assert made.preferences == Preferences()
    assert "layert2v.json cannot be used" in nuke.messages[0]
