"""What an artist sees: from a press of Generate to layers in the graph, and everything between."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.saved import reopen, save
from fakes.nk_session import MODEL, Studio
from fakes.nk_stacks import again
from layert2v_nuke.errors import BridgeFailed


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
def stack(foxes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(foxes, tmp_path / "stack"))


def test_generate_sends_what_the_knobs_say(studio: Studio) -> None:
    studio.nuke.project(format=(1920, 1080, 1.0), first_frame=1001, last_frame=1010, fps=25.0)
    studio.asked(foreground_1="a fox", negative="text", seed="7")
    sent = studio.line.last("generate")
    spec = sent["spec"]
    assert (spec["width"], spec["height"], spec["frames"]) == (320, 180, 10)
    assert (spec["start_frame"], spec["fps"], spec["seed"]) == (1001, 25.0, 7)
    assert spec["foreground_prompts"] == ["a fox"]
    assert sent["request_id"] == studio.value("l2v_request") != ""
    assert "320 x 180" in studio.value("size_note")
    assert "1920 x 1080" in studio.value("size_note")


def test_the_node_tells_how_far_it_is(studio: Studio) -> None:
    studio.asked()
    studio.changed(state="queued", queue_position=2, stage="", total=0, eta_s=None)
    assert studio.value("progress") == "2 ahead"
    studio.changed()
    assert studio.value("l2v_life") == "running"
    assert studio.value("progress") == "25 %, denoising 1/4, 30 s left"
    studio.tell("PreviewUpdated", request_id=studio.value("l2v_request"), path="/cache/p.png")
    assert studio.value("preview") == "<img src='/cache/p.png'>"


def test_progress_is_no_undo_step_and_leaves_the_project_saved(studio: Studio) -> None:
    studio.asked()
    studio.changed()
    steps, studio.nuke.modified = len(studio.nuke.history.done), False
    studio.changed(done=2)
    assert (len(studio.nuke.history.done), studio.nuke.modified) == (steps, False)
    studio.changed(job="jobs/2")
    assert studio.nuke.modified  # a job that should survive has to be saved


def test_a_finished_job_is_one_undo_step(studio: Studio, stack: Path) -> None:
    studio.asked()
    before = studio.nuke.dump()["LayerT2V1"]["nodes"]
    studio.done(stack)
    assert "Read_fg_02" in studio.nuke.dump()["LayerT2V1"]["nodes"]
    assert studio.value("fg_01_version") == 1
    assert "5 layers" in studio.value("status")
    assert studio.nuke.undo() == "LayerT2V: foxes v001"
    assert studio.nuke.dump()["LayerT2V1"]["nodes"] == before
    assert studio.nuke.executed == []


def test_the_inputs_stay_connected_when_the_inside_changes(studio: Studio, stack: Path) -> None:
    studio.asked()
    plate = studio.nuke.nodes.Dot()
    studio.node().setInput(0, plate)
    studio.done(stack)
    assert studio.node().input(0) == plate


def test_a_rerender_changes_paths_and_nothing_else(studio: Studio, stack: Path) -> None:
    uuid = studio.with_stack(stack)
    studio.controller.on_button(uuid, "explode")
    grade = studio.nuke.nodes.Grade()
    read_fg = studio.nuke.toNode("Read_fg_01")
    grade.setInput(0, read_fg)
    studio.host.set_knobs(uuid, {"fg_01_prompt": "a wolf", "fg_01_seed": "9"})
    studio.controller.on_button(uuid, "rerender fg_01")
    spec = studio.line.last("rerender")["spec"]
    assert (spec["layers"], spec["prompts"], spec["seed"]) == (["fg_01"], {"fg_01": "a wolf"}, 9)
    before = studio.nuke.dump()
    again(stack, "fg_01", "shadow_01", prompt="a wolf")
    studio.done(stack, state=2)
    after = studio.nuke.dump()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"LayerT2V1", "Read_fg_01", "Read_shadow_01"}
    differs = {k for k, v in after["Read_fg_01"]["knobs"].items()
               if before["Read_fg_01"]["knobs"].get(k) != v}  # fmt: skip
    assert differs == {"file"}
    assert "fg_01_v002" in after["Read_fg_01"]["knobs"]["file"]
    assert studio.value("shadow_01_version") == 2
    assert grade.input(0).name() == "Read_fg_01"
    assert studio.nuke.undo() == "LayerT2V: foxes v002"
    assert studio.nuke.dump()["Read_fg_01"] == before["Read_fg_01"]


def test_an_open_read_that_the_artist_has_turned_back_stays(studio: Studio, stack: Path) -> None:
    uuid = studio.with_stack(stack)
    studio.controller.on_button(uuid, "explode")
    again(stack, "fg_01")
    studio.done(stack, request=resent(studio, uuid))
    pinned = studio.nuke.toNode("Read_fg_01")
    pinned["file"].setValue(pinned["file"].value().replace("v002", "v001"))  # Alt+Down
    again(stack, "fg_01")
    studio.done(stack, request=resent(studio, uuid))
    assert "fg_01_v001" in pinned["file"].value()
    assert studio.value("fg_01_version") == 3


def resent(studio: Studio, uuid: str) -> str:
    studio.controller.on_button(uuid, "rerender")
    return str(studio.line.sent[-1]["request_id"])


def test_another_version_takes_its_shadow_along(studio: Studio, stack: Path) -> None:
    studio.with_stack(stack)
    again(stack, "fg_01", "shadow_01")
    studio.controller.on_button(studio.value("l2v_uuid"), "rerender fg_01")
    studio.done(stack, state=2)
    with_session(studio, "fg_01_version", 1)
    inside = studio.nuke.dump()["LayerT2V1"]["nodes"]
    assert "shadow_01_v001" in inside["Read_shadow_01"]["knobs"]["file"]
    assert studio.value("shadow_01_version") == 1


def with_session(studio: Studio, knob: str, value: object) -> None:
    """The artist changes a knob; the node's own code finds the plug-in."""
    from layert2v_nuke import api

    before = api.plugin_state
    api.plugin_state = lambda: studio.session  # type: ignore[assignment]
    try:
        studio.nuke.change(studio.node(), knob, value)
    finally:
        api.plugin_state = before


def test_a_version_that_is_not_there_is_told(studio: Studio, stack: Path) -> None:
    studio.with_stack(stack)
    with_session(studio, "fg_01_version", 7)
    assert studio.value("status") == "There is no v007 of fg_01. There are: v001."
    assert studio.value("l2v_life") == "failed"
    with_session(studio, "fg_01_version", 1)
    assert studio.value("status").startswith("foxes: 5 layers")
    assert studio.value("l2v_life") == "done"


def test_a_plate_is_frozen_where_it_arrives_and_tells_what_it_is(
    studio: Studio, stack: Path
) -> None:
    uuid = studio.with_stack(stack)
    assert (studio.value("fg_01_made"), studio.value("bg_freeze")) == ("seed 1", False)
    request = resent(studio, uuid)
    again(stack, "bg", source="plate")
    studio.done(stack, request=request)
    assert (studio.value("bg_made"), studio.value("bg_freeze")) == ("plate", True)
    studio.controller.on_button(uuid, "rerender")
    assert "bg" not in studio.line.last("rerender")["spec"]["layers"]
    studio.host.set_knobs(uuid, {"bg_freeze": False})
    again(stack, "fg_01")
    studio.done(stack)
    assert not studio.value("bg_freeze")


def test_text_with_brackets_is_read_as_it_is_written(studio: Studio, stack: Path) -> None:
    code = "a [python {nuke.scriptClear()}] $env(HOME)"
    studio.asked(code, background=code, foreground_1=code, negative=code)
    spec = studio.line.last("generate")["spec"]
    assert {spec["prompt"], spec["background_prompt"], spec["negative_prompt"]} == {code}
    studio.done(stack)
    uuid = str(studio.node()["l2v_uuid"].value())
    studio.host.set_knobs(uuid, {"fg_01_prompt": code})
    studio.controller.on_button(uuid, "rerender fg_01")
    assert studio.line.last("rerender")["spec"]["prompts"] == {"fg_01": code}
    assert studio.nuke.executed == []
    assert studio.value("prompt") == code
    assert studio.nuke.executed == [f"Group.prompt: {code}"]  # what `value` might have run


def test_frozen_layers_are_left_out_and_refused(studio: Studio, stack: Path) -> None:
    uuid = studio.with_stack(stack)
    studio.host.set_knobs(uuid, {"bg_freeze": True, "shadow_01_freeze": True})
    studio.controller.on_button(uuid, "rerender bg")
    assert studio.value("status").startswith("bg is frozen.")
    studio.controller.on_button(uuid, "rerender fg_01")
    spec = studio.line.last("rerender")["spec"]
    assert (spec["layers"], spec["frozen"]) == (["fg_01"], ["shadow_01"])


def test_versions_that_were_never_together_are_no_start(studio: Studio, stack: Path) -> None:
    uuid = studio.with_stack(stack)
    again(stack, "fg_01")
    again(stack, "fg_02")
    studio.controller.on_button(uuid, "rerender bg")
    studio.done(stack, state=3)
    studio.host.set_knobs(uuid, {"fg_01_version": 1})
    studio.controller.on_button(uuid, "rerender bg")
    assert "never together" in studio.value("status")


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"prompt": "  "}, "There is no prompt."),
        ({"seed": "x"}, "The seed is not a whole number."),
        ({"steps": 5000}, "The number of steps"),
    ],
)
def test_a_wrong_request_is_told_on_the_node(
    studio: Studio, knobs: dict[str, object], sentence: str
) -> None:
    studio.asked(**{"prompt": "a fox", **knobs})
    assert sentence in studio.value("status")
    assert studio.value("l2v_life") == "failed"
    assert [one["do"] for one in studio.line.sent] == ["connect"]


def test_a_failed_job_is_told_without_running_its_words(studio: Studio) -> None:
    studio.asked()
    studio.tell("RequestFailed", request_id=studio.value("l2v_request"), job="jobs/1", reason="OOM",
                message="No memory for [python nuke.quit()].", hint="Ask {less}.",
                violations=[])  # fmt: skip
    assert studio.value("status") == "No memory for (python nuke.quit()). Ask (less)."
    assert studio.value("label").startswith("No memory")
    assert studio.nuke.executed == []


def test_cancel_goes_out_and_comes_back(studio: Studio) -> None:
    uuid = studio.asked()
    studio.changed()
    studio.controller.on_button(uuid, "generate")
    assert studio.value("status").startswith("This node is waiting already.")
    assert studio.value("l2v_life") == "running"
    studio.controller.on_button(uuid, "cancel")
    assert studio.line.sent[-1] == {"do": "cancel", "request_id": studio.value("l2v_request")}
    studio.tell("RequestCancelled", request_id=studio.value("l2v_request"), job="jobs/1")
    assert studio.value("l2v_life") == "cancelled"


def test_cancel_before_the_server_answers(studio: Studio) -> None:
    uuid = studio.controller.create()
    studio.host.set_knobs(uuid, {"prompt": "a fox"})
    studio.controller.on_button(uuid, "generate")
    studio.controller.on_button(uuid, "cancel")
    studio.controller.pump()
    assert studio.value("l2v_life") == "cancelled"
    assert studio.lines == []


def test_the_job_survives_closing_nuke(studio: Studio, stack: Path, tmp_path: Path) -> None:
    studio.asked()
    studio.changed()
    text = save(studio.nuke)
    later = Studio(tmp_path, FakeNuke())
    later.nuke.addOnScriptLoad(later.controller.schedule_scan)
    reopen(later.nuke, text)
    later.controller.pump()
    attached = later.line.last("attach")
    assert attached["job"] == "jobs/1"
    assert attached["request_id"] == studio.value("l2v_request")
    later.done(stack)
    assert later.value("l2v_life") == "done"
    assert "Read_bg" in later.nuke.dump()["LayerT2V1"]["nodes"]


def test_a_request_without_a_job_is_asked_again_with_the_same_id(
    studio: Studio, tmp_path: Path
) -> None:
    studio.asked()
    text = save(studio.nuke)
    later = Studio(tmp_path, FakeNuke())
    reopen(later.nuke, text)
    later.controller.refresh()
    later.controller.pump()
    assert later.line.last("generate") == studio.line.last("generate")


def test_a_lost_bridge_is_started_again_and_the_job_attached(studio: Studio) -> None:
    studio.asked()
    studio.changed()
    studio.line.fault = BridgeFailed("BRIDGE_ENDED", "The bridge ended (exit status -9).")
    studio.controller.pump()
    assert studio.value("status") == "Waiting: The bridge ended (exit status -9)."
    studio.controller.pump()
    assert len(studio.lines) == 1  # not before its time
    studio.now = 1.5
    studio.controller.pump()
    assert len(studio.lines) == 2
    assert studio.line.last("attach")["job"] == "jobs/1"


def test_a_bridge_that_cannot_start_is_told_once(studio: Studio, tmp_path: Path) -> None:
    uuid = studio.controller.create()
    studio.host.set_knobs(uuid, {"prompt": "a fox"})
    studio.controller.on_button(uuid, "generate")
    studio.controller.pump()
    studio.line.fault = BridgeFailed("BRIDGE_NOT_STARTED", "The bridge cannot start.", "Choose.")
    studio.controller.pump()
    assert (studio.value("l2v_life"), studio.value("status")) == (
        "failed", "The bridge cannot start. Choose.",
    )  # fmt: skip
    assert not studio.controller.busy


def test_a_server_that_is_away_is_waited_for(studio: Studio) -> None:
    studio.asked()
    studio.tell("Disconnected", reason="UNAVAILABLE", message="render01 does not answer.",
                hint="", retry_in_s=2.0)  # fmt: skip
    assert studio.value("status") == "Waiting: render01 does not answer."
    studio.changed()
    assert studio.value("l2v_life") == "running"


def test_deleting_a_node_leaves_its_job_and_undo_takes_it_up_again(
    studio: Studio, stack: Path
) -> None:
    studio.asked()
    studio.changed()
    for kind in (studio.nuke.addOnCreate, studio.nuke.addOnDestroy):
        kind(studio.controller.schedule_scan, nodeClass="Group")
    request = studio.value("l2v_request")
    studio.nuke.delete(studio.node())
    studio.done(stack, request=request)
    assert [one["do"] for one in studio.line.sent] == ["connect", "generate"]
    studio.nuke.undo()
    studio.controller.schedule_scan()
    studio.controller.pump()
    assert studio.line.last("attach")["request_id"] == request


def test_a_press_that_never_left_is_gone_with_nuke(studio: Studio, tmp_path: Path) -> None:
    uuid = studio.controller.create()
    studio.host.set_knobs(uuid, {"prompt": "a fox"})
    studio.controller.on_button(uuid, "generate")
    later = Studio(tmp_path, FakeNuke())
    reopen(later.nuke, save(studio.nuke))
    later.controller.schedule_scan()
    later.controller.pump()
    assert later.lines == []
    later.controller.on_button(uuid, "generate")
    later.controller.pump()
    later.connect()
    assert later.line.last("generate")["spec"]["prompt"] == "a fox"


def test_a_cancel_that_nobody_heard_is_said_again(studio: Studio) -> None:
    uuid = studio.asked()
    studio.changed()
    studio.line.fault = BridgeFailed("BRIDGE_ENDED", "The bridge ended.")
    studio.controller.pump()
    studio.controller.on_button(uuid, "cancel")
    studio.now = 2.0
    studio.controller.pump()
    assert [one["do"] for one in studio.line.sent] == ["connect", "attach", "cancel"]


def test_a_stack_that_cannot_be_read_is_told_and_the_line_stays(
    studio: Studio, tmp_path: Path
) -> None:
    uuid = studio.asked()
    before = studio.nuke.dump()["LayerT2V1"]["nodes"]
    studio.done(tmp_path / "nowhere")
    assert studio.value("status").startswith("There is no stack.json")
    assert studio.nuke.dump()["LayerT2V1"]["nodes"] == before
    studio.controller.on_button(uuid, "generate")
    assert len(studio.lines) == 1
    assert [one["do"] for one in studio.line.sent].count("generate") == 2


def test_a_request_that_was_written_over_is_not_resumed(studio: Studio, tmp_path: Path) -> None:
    uuid = studio.asked()
    studio.host.set_knobs(uuid, {"l2v_asked": "no JSON"})
    later = Studio(tmp_path, FakeNuke())
    reopen(later.nuke, save(studio.nuke))
    later.controller.schedule_scan()
    later.controller.pump()
    assert later.value("l2v_life") == "lost"


def test_undo_of_a_creation_leaves_nothing(studio: Studio) -> None:
    studio.controller.create()
    assert studio.nuke.undo() == "Create LayerT2V"
    assert studio.nuke.dump() == {}


def test_a_copy_is_a_node_of_its_own(studio: Studio, stack: Path) -> None:
    from fakes.fake_nuke.saved import load

    studio.asked()
    studio.changed()
    original = studio.value("l2v_uuid")
    load(studio.nuke, save(studio.nuke))  # paste
    studio.controller.schedule_scan()
    studio.controller.pump()
    copy = "LayerT2V2"
    assert studio.value("l2v_uuid") == original != studio.value("l2v_uuid", copy)
    assert studio.value("l2v_life", copy) == "idle"
    studio.done(stack)
    assert studio.value("folder", copy) == ""


def test_two_nodes_do_not_mix(studio: Studio, stack: Path) -> None:
    studio.asked()
    studio.asked("an owl")
    first, second = studio.value("l2v_request"), studio.value("l2v_request", "LayerT2V2")
    studio.done(stack, request=second)
    assert (studio.value("folder"), studio.value("folder", "LayerT2V2")) == ("", str(stack))
    assert first != second


def test_the_seed_is_rolled_again(studio: Studio) -> None:
    uuid = studio.controller.create()
    studio.controller.on_button(uuid, "reroll")
    assert studio.value("seed").isdecimal()


def test_a_model_that_the_server_lacks_is_named(studio: Studio) -> None:
    uuid = studio.controller.create()
    studio.host.set_knobs(uuid, {"prompt": "a fox"})
    studio.controller.on_button(uuid, "generate")
    studio.controller.pump()
    from dataclasses import replace

    studio.connect(replace(MODEL, name="wan"))
    assert studio.node()["model"].values() == ["wan"]
    assert studio.line.last("generate")["spec"]["model"] == "wan"


def test_knobs_of_the_artist_s_own_are_left_alone(studio: Studio, stack: Path) -> None:
    uuid = studio.asked()
    own = studio.nuke.Int_Knob("my_version", "mine")
    studio.node().addKnob(own)
    studio.done(stack)
    studio.controller.on_button(uuid, "rerender fg_01")
    assert studio.line.last("rerender")["spec"]["layers"] == ["fg_01"]
    assert studio.node().knob("my_version") is not None


def test_freeze_and_mute_outlive_another_set_of_layers(studio: Studio, stack: Path) -> None:
    uuid = studio.with_stack(stack)
    studio.host.set_knobs(uuid, {"bg_freeze": True, "fg_01_mute": True})
    studio.controller.on_button(uuid, "generate")
    other = Path(shutil.copytree(stack, stack.with_name("other")))
    studio.done(other)
    assert studio.value("folder") == str(other)
    assert (studio.value("bg_freeze"), studio.value("fg_01_mute")) == (True, True)
