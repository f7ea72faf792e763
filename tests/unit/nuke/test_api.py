"""What buttons, menus and pipeline code call, and where errors stop."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.nk_session import PluginSession
from layert2v_nuke import api
from layert2v_nuke.host import Host
from layert2v_nuke.preferences import Preferences

pytestmark = pytest.mark.usefixtures("plugin_api")


def test_an_unexpected_error_is_shown_and_goes_no_further(
    session: PluginSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.controller, "create", lambda: 1 / 0)
    session.run_command("Generate")
    assert "ZeroDivisionError" in session.nuke.messages[0]
    assert session.nuke.messages[1].startswith("LayerT2V has failed")


def test_an_unexpected_error_of_the_timer_is_printed_without_a_dialog() -> None:
    nuke = FakeNuke()
    created = api.start(Host(nuke), Preferences())
    created.controller.pump = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    created.timer._tick()
    (said,) = nuke.messages
    assert "ZeroDivisionError" in said


def test_a_folder_without_a_stack_is_one_sentence(session: PluginSession, tmp_path: Path) -> None:
    session.nuke.dialog_answers["Choose stack.json of a layer stack"] = str(tmp_path)
    session.run_command("Import stack")
    assert session.nuke.messages[0].startswith("There is no stack.json")
    assert session.nuke.dump() == {}


def test_the_node_s_buttons_say_where_the_plug_in_is_missing(session: PluginSession) -> None:
    session.run_command("Generate")
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


def test_pipeline_code_corrects_a_layer_by_points(session: PluginSession, foxes: Path) -> None:
    uuid = session.generate_stack(foxes)
    api.refine_points(uuid, "fg_01", point_1_frame=1002, point_1_is="beside it", point_1=(4.0, 8.0))
    sent = session.bridge.last("refine")["spec"]
    assert sent["points"] == [{"frame": 1002, "x": 4.0, "y": 10.0, "is_subject": False}]
    session.controller.on_button(uuid, "cancel")
    session.send_event("RequestCancelled", request_id=session.value("l2v_request"))
    api.refine_points(uuid, "fg_01", point_1_is="off")
    assert api.message(uuid).startswith("No point of fg_01 is on.")
