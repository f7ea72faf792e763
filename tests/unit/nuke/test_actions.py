"""Footage from an input to layers in the node, and a foreground that is refined."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.nodes import Node
from fakes.fake_nuke.saved import reopen, save
from fakes.nk_evaluate import read_exr
from fakes.nk_render import add_renderer
from fakes.nk_session import PluginSession
from fakes.nk_stacks import rerender_layers

RED = (0.5, 0.25, 4.0, 0.125)


@pytest.fixture
def session(tmp_path: Path) -> PluginSession:
    """Return a Nuke that renders, with a node that has footage and a matte."""
    created = PluginSession(tmp_path, add_renderer(FakeNuke()))
    created.nuke.set_project(format=(28, 18, 1.0), first_frame=1001, last_frame=1003, fps=12.0)
    created.controller.create()
    for number in (2, 3):
        created.node().setInput(number, constant(created.nuke, RED))
    return created


def constant(nuke: FakeNuke, color: tuple[float, ...]) -> Node:
    node = nuke.nodes.Constant()
    node["channels"].setValue("rgba")
    node["color"].setValue(color)
    return node


def uuid(session: PluginSession) -> str:
    return str(session.value("l2v_uuid"))


def press(session: PluginSession, button: str, frames: int = 0) -> None:
    """Press a button and let ``frames`` be rendered."""
    session.controller.on_button(uuid(session), button)
    if not session.bridges:
        session.controller.pump()
        session.connect()
    for _ in range(frames + 1 if frames else 0):
        session.controller.pump()


def add_subject(session: PluginSession, **knobs: Any) -> None:
    session.controller.on_button(uuid(session), "subject_add")
    number = max(int(name.split("_")[1]) for name in session.node().knobs() if "_words" in name)
    named = {f"subject_{number}_{name}": value for name, value in knobs.items()}
    session.host.set_knobs(uuid(session), named)


def rendered_files(sent: dict[str, Any], key: str) -> list[Path]:
    """Return the files that were rendered for an input of a request."""
    (folder,) = sent["inputs"][key]
    return sorted(Path(folder).iterdir())


def test_an_input_is_rendered_and_sent_as_footage(session: PluginSession) -> None:
    press(session, "decompose", frames=3)
    sent = session.bridge.last("decompose")
    assert (sent["spec"]["first"], sent["spec"]["last"]) == (1001, 1003)
    assert sent["spec"]["footage"]["colorspace"] == "lin_rec709_scene"
    assert sent["spec"]["footage"]["fps"] == 12.0
    files = rendered_files(sent, "footage")
    assert [one.name for one in files] == [f"footage.{n}.exr" for n in (1001, 1002, 1003)]
    assert np.array_equal(read_exr(files[0]).rgba()[0, 0], np.float32(RED))
    assert sent["folder"].endswith("take_001")
    assert set(session.nuke.dump()) == {"Constant1", "Constant2", "LayerT2V1"}


def test_mattes_and_a_clean_plate_are_rendered_with_it(session: PluginSession) -> None:
    session.node().setInput(0, constant(session.nuke, (1.0, 1.0, 1.0, 1.0)))
    session.host.set_knobs(uuid(session), {"footage_plate": True})
    add_subject(session, matte="green")
    add_subject(session, words="the dog", matte="alpha", matte_all=False, matte_frame=1002)
    press(session, "decompose", frames=10)
    sent = session.bridge.last("decompose")
    assert [one["matte"] for one in sent["spec"]["subjects"]] == ["matte_1", "matte_2"]
    assert len(rendered_files(sent, "matte_1")) == len(rendered_files(sent, "plate")) == 3
    (hint,) = rendered_files(sent, "matte_2")
    assert hint.name == "matte_2.1002.exr"
    matte, hinted = read_exr(rendered_files(sent, "matte_1")[0]), read_exr(hint)
    assert sorted(matte.channels) == ["rgba.blue", "rgba.green", "rgba.red"]  # no alpha to mistake
    assert np.array_equal(matte.rgba()[0, 0, :3], np.float32([0.25] * 3))
    assert np.array_equal(hinted.rgba()[0, 0, :3], np.float32([0.125] * 3))
    assert not any(one["class"] in ("Write", "Shuffle") for one in session.nuke.dump().values())


def test_the_files_of_a_read_are_sent_as_they_are(session: PluginSession, tmp_path: Path) -> None:
    read = session.nuke.nodes.Read()
    read["file"].fromUserText(f"{tmp_path}/shot.%04d.exr 1001-1020")
    read["format"]._state.put("96 64 0 0 96 64 1 ")
    read["colorspace"].setValue("linear")
    session.node().setInput(2, read)
    add_subject(session, has_box=True, box=(10.0, 14.0, 40.0, 50.0), box_frame=1005)
    press(session, "decompose")
    sent = session.bridge.last("decompose")
    assert sent["inputs"] == {"footage": [f"{tmp_path}/shot.%04d.exr"]}
    assert (sent["spec"]["first"], sent["spec"]["last"], sent["spec"]["name"]) == (
        1001, 1020, "shot",
    )  # fmt: skip
    (box,) = sent["spec"]["subjects"][0]["boxes"]
    assert box == {"frame": 1005, "x": 10.0, "y": 14.0, "width": 30.0, "height": 36.0}


def test_the_layers_arrive_in_one_undo_step_and_renders_go(
    session: PluginSession, foxes: Path
) -> None:
    press(session, "decompose", frames=3)
    (folder,) = session.bridge.last("decompose")["inputs"]["footage"]
    before = session.nuke.dump()["LayerT2V1"]["nodes"]
    session.send_result(foxes)
    assert "Read_fg_02" in session.nuke.dump()["LayerT2V1"]["nodes"]
    assert session.value("l2v_life") == "done"
    assert not Path(folder).exists()
    assert session.node().input(2) is not None
    assert session.nuke.undo() == "LayerT2V: foxes v001"
    assert session.nuke.dump()["LayerT2V1"]["nodes"] == before


def test_a_failed_job_keeps_what_was_rendered(session: PluginSession) -> None:
    press(session, "decompose", frames=3)
    sent = session.bridge.last("decompose")
    error = {"reason": "OOM", "message": "No memory.", "hint": "", "violations": []}
    session.send_event("RequestFailed", request_id=sent["request_id"], job="jobs/1", **error)
    assert session.value("status") == "No memory."
    assert len(rendered_files(sent, "footage")) == 3


def test_cancel_stops_the_rendering(session: PluginSession) -> None:
    press(session, "decompose", frames=1)
    assert session.value("progress") == "2 of 3"
    press(session, "cancel")
    session.controller.pump()
    assert session.value("l2v_life") == "cancelled"
    assert [one["method"] for one in session.bridge.sent] == ["connect"]


def test_a_request_is_sent_again_after_nuke_was_closed(
    session: PluginSession, tmp_path: Path
) -> None:
    press(session, "decompose", frames=3)
    later = PluginSession(tmp_path, FakeNuke())
    reopen(later.nuke, save(session.nuke))
    later.controller.refresh()
    later.controller.pump()
    assert later.bridge.last("decompose") == session.bridge.last("decompose")


@pytest.mark.parametrize(("gone", "sentence"), [(2, "the input footage"), (3, "the input matte")])
def test_an_open_input_is_named_before_anything_is_rendered(
    session: PluginSession, gone: int, sentence: str
) -> None:
    add_subject(session, matte="alpha")
    session.node().setInput(gone, None)
    press(session, "decompose", frames=1)
    assert sentence in session.value("status")
    assert [one["method"] for one in session.bridge.sent] == ["connect"]


def test_a_wrong_hint_is_one_sentence(session: PluginSession) -> None:
    add_subject(session, has_box=True, box=(5.0, 5.0, 5.0, 9.0))
    press(session, "decompose")
    assert "The sides of a box must be above 0" in session.value("status")


def test_a_foreground_is_refined_by_a_channel_of_the_matte(
    session: PluginSession, foxes: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(foxes, tmp_path / "stack"))
    press(session, "decompose", frames=3)
    session.send_result(folder)
    session.host.set_knobs(uuid(session), {"fg_01_matte": "green"})
    press(session, "refine fg_01", frames=3)
    sent = session.bridge.last("refine")
    assert sent["folder"] == str(folder)
    assert (sent["spec"]["layer"], sent["spec"]["at"]) == ("fg_01", 1)
    files = rendered_files(sent, sent["spec"]["matte"])
    assert [one.name for one in files] == [f"matte.{n}.exr" for n in (1001, 1002, 1003)]
    assert np.array_equal(read_exr(files[0]).rgba()[0, 0, :3], np.float32([0.25] * 3))
    rerender_layers(folder, "fg_01", "shadow_01", "bg")
    session.send_result(folder, state=2)
    assert (session.value("fg_01_version"), session.value("fg_02_version")) == (2, 1)
    assert session.value("fg_01_matte") == "green"


def test_a_matte_for_a_refinement_has_to_be_connected(session: PluginSession, foxes: Path) -> None:
    press(session, "decompose", frames=3)
    session.send_result(foxes)
    session.node().setInput(3, None)
    press(session, "refine fg_01")
    assert "Nothing is connected to the input matte." in session.value("status")


def test_a_foreground_is_corrected_by_points_in_the_state_that_is_shown(
    session: PluginSession, stack: Path
) -> None:
    press(session, "decompose", frames=3)
    rerender_layers(stack, "fg_02", "shadow_02")
    session.send_result(stack, state=2)
    session.nuke.change(session.node(), "fg_02_version", 1)
    session.controller.set_version(uuid(session), "fg_02")
    point = {"fg_01_point_2": (5.0, 5.0), "fg_01_point_2_is": "beside it"}
    session.host.set_knobs(uuid(session), {**point, "fg_01_point_2_frame": 1003})
    session.node().setInput(3, None)  # no matte is needed
    press(session, "refine_points fg_01")
    sent = session.bridge.last("refine")
    assert (sent["folder"], sent["inputs"]) == (str(stack), {})
    assert (sent["spec"]["layer"], sent["spec"]["matte"], sent["spec"]["at"]) == ("fg_01", "", 1)
    assert sent["spec"]["points"] == [{"frame": 1003, "x": 5.0, "y": 13.0, "is_subject": False}]


def test_a_correction_without_points_says_what_to_do(session: PluginSession, foxes: Path) -> None:
    press(session, "decompose", frames=3)
    session.send_result(foxes)
    press(session, "refine_points fg_01")
    wanted = "No point of fg_01 is on. Move one in the viewer to where its matte is wrong."
    assert (session.value("status"), session.value("l2v_life")) == (wanted, "failed")
    assert session.bridge.sent[-1]["method"] == "decompose"


def send_cut(session: PluginSession) -> None:
    """Let the node's request fail since there are three shots, the second of one frame."""
    hint = "Decompose each shot by itself: frames 1001-1002, 1003-1003, 1004-1006."
    session.send_event(
        "RequestFailed",
        request_id=session.value("l2v_request"),
        job="jobs/1",
        reason="CUT_INSIDE",
        message="There is a cut between frames 1002 and 1003.",
        hint=hint,
    )


def test_each_shot_of_an_edit_gets_a_node_with_its_layers(
    session: PluginSession, foxes: Path
) -> None:
    session.nuke.set_project(format=(28, 18, 1.0), first_frame=1001, last_frame=1006, fps=12.0)
    session.host.set_knobs(uuid(session), {"footage_split": True})
    add_subject(session, words="the dog", has_box=True, box=(1.0, 2.0, 9.0, 9.0), box_frame=1005)
    press(session, "decompose", frames=6)
    (folder,) = session.bridge.last("decompose")["inputs"]["footage"]
    send_cut(session)
    first, second = [one for one in session.bridge.sent if one["method"] == "decompose"][1:]
    assert [one["spec"]["first"] for one in (first, second)] == [1001, 1004]
    assert [Path(one["folder"]).name for one in (first, second)] == ["shot_01", "shot_02"]
    assert [len(one["spec"]["subjects"][0]["boxes"]) for one in (first, second)] == [0, 1]
    session.send_result(foxes, request=first["request_id"])
    assert Path(folder).exists()  # the other shot is not there yet
    session.send_result(foxes, request=second["request_id"])
    assert not Path(folder).exists()
    names = ("LayerT2V1", "LayerT2V2")
    assert [session.value("footage_first", name) for name in names] == [1001, 1004]
    assert session.value("subject_1_words", "LayerT2V2") == "the dog"
    sources = [session.node(name).input(2) for name in names]
    assert len({source.name() for source in sources if source is not None}) == 1
    assert all("Read_fg_02" in session.nuke.dump()[name]["nodes"] for name in names)
    assert str(session.value("status")).endswith("shows nothing behind it: 1003.")


def test_an_edit_is_split_after_nuke_was_closed(session: PluginSession, tmp_path: Path) -> None:
    session.host.set_knobs(uuid(session), {"footage_split": True})
    press(session, "decompose", frames=3)
    later = PluginSession(tmp_path, FakeNuke())
    reopen(later.nuke, save(session.nuke))
    later.controller.refresh()
    later.controller.pump()
    later.connect()
    send_cut(later)
    starts = [one["spec"]["first"] for one in later.bridge.sent if one["method"] == "decompose"]
    assert starts == [1001, 1001]  # what was asked for ends before the last shot


def test_an_edit_that_is_not_to_be_split_is_refused(session: PluginSession) -> None:
    press(session, "decompose", frames=3)
    send_cut(session)
    assert (session.value("l2v_life"), session.nuke.toNode("LayerT2V2")) == ("failed", None)
    assert str(session.value("status")).startswith("There is a cut between")
