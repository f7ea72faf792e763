"""What an artist sees: from a press of Generate to layers in the graph, and everything between."""

from __future__ import annotations

from pathlib import Path

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.saved import reopen, save
from fakes.nk_session import MODEL, PluginSession
from fakes.nk_stacks import rerender_layers
from layert2v_nuke.errors import BridgeFailed


def test_the_node_shows_its_progress(session: PluginSession) -> None:
    session.generate()
    session.send_progress(state="queued", queue_position=2, stage="", total=0, eta_s=None)
    assert session.value("progress") == "2 ahead"
    session.send_progress()
    assert session.value("l2v_life") == "running"
    assert session.value("progress") == "25 %, denoising 1/4, 30 s left"
    session.send_event(
        "PreviewUpdated", request_id=session.value("l2v_request"), path="/cache/p.png"
    )
    assert session.value("preview") == "<img src='/cache/p.png'>"


ACCOUNT = {
    "user": "anna", "used_bytes": 1_400_000, "max_bytes": 3_000_000_000, "open_jobs": 3,
    "queued_jobs": 2, "max_open_jobs": 100, "priorities": ["low", "normal", "high"],
}  # fmt: skip


def test_the_node_shows_what_the_user_has_on_the_server(session: PluginSession) -> None:
    session.generate()
    session.nuke.modified = False
    session.send_event("AccountUpdated", **ACCOUNT)
    assert session.value("account") == "1.4 MB of 3.0 GB, 3 of 100 jobs (2 queued)"
    assert not session.nuke.modified


def test_a_priority_goes_with_the_request(session: PluginSession) -> None:
    uuid = session.generate()
    assert "priority" not in session.bridge.last("generate")
    session.controller.cancel(uuid)
    session.send_event("RequestCancelled", request_id=session.value("l2v_request"), job="jobs/1")
    session.host.set_knobs(uuid, {"priority": "high"})
    session.controller.on_button(uuid, "generate")
    assert session.bridge.last("generate")["priority"] == "high"


def test_a_priority_that_the_server_refuses_is_one_sentence(session: PluginSession) -> None:
    uuid = session.generate()
    session.send_event("RequestCancelled", request_id=session.value("l2v_request"), job="jobs/1")
    session.send_event("AccountUpdated", **ACCOUNT)
    session.host.set_knobs(uuid, {"priority": "urgent"})
    before = len(session.bridge.sent)
    session.controller.on_button(uuid, "generate")
    assert len(session.bridge.sent) == before
    assert "does not let you give jobs the priority urgent" in session.value("status")
    assert "low, normal, high" in session.value("status")


def test_progress_is_no_undo_step_and_leaves_the_project_saved(session: PluginSession) -> None:
    session.generate()
    session.send_progress()
    steps, session.nuke.modified = len(session.nuke.history.undo_steps), False
    session.send_progress(done=2)
    assert (len(session.nuke.history.undo_steps), session.nuke.modified) == (steps, False)
    session.send_progress(job="jobs/2")
    assert session.nuke.modified  # a job that should survive has to be saved


def test_a_finished_job_is_one_undo_step(session: PluginSession, stack: Path) -> None:
    session.generate()
    before = session.nuke.dump()["LayerT2V1"]["nodes"]
    session.send_result(stack)
    assert "Read_fg_02" in session.nuke.dump()["LayerT2V1"]["nodes"]
    assert session.value("fg_01_version") == 1
    assert "5 layers" in session.value("status")
    assert session.nuke.undo() == "LayerT2V: foxes v001"
    assert session.nuke.dump()["LayerT2V1"]["nodes"] == before
    assert session.nuke.executed == []


def test_a_rerender_changes_paths_and_nothing_else(session: PluginSession, stack: Path) -> None:
    uuid = session.generate_stack(stack)
    session.controller.on_button(uuid, "explode")
    grade = session.nuke.nodes.Grade()
    read_fg = session.nuke.toNode("Read_fg_01")
    grade.setInput(0, read_fg)
    session.host.set_knobs(uuid, {"fg_01_prompt": "a wolf", "fg_01_seed": "9"})
    session.controller.on_button(uuid, "rerender fg_01")
    spec = session.bridge.last("rerender")["spec"]
    assert (spec["layers"], spec["prompts"], spec["seed"]) == (["fg_01"], {"fg_01": "a wolf"}, 9)
    before = session.nuke.dump()
    rerender_layers(stack, "fg_01", "shadow_01", prompt="a wolf")
    session.send_result(stack, state=2)
    after = session.nuke.dump()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"LayerT2V1", "Read_fg_01", "Read_shadow_01"}
    differs = {k for k, v in after["Read_fg_01"]["knobs"].items()
               if before["Read_fg_01"]["knobs"].get(k) != v}  # fmt: skip
    assert differs == {"file"}
    assert "fg_01_v002" in after["Read_fg_01"]["knobs"]["file"]
    assert session.value("shadow_01_version") == 2
    assert grade.input(0).name() == "Read_fg_01"
    assert session.nuke.undo() == "LayerT2V: foxes v002"
    assert session.nuke.dump()["Read_fg_01"] == before["Read_fg_01"]


def test_a_failed_job_is_shown_without_running_its_words(session: PluginSession) -> None:
    session.generate()
    error = {"message": "No memory for [python nuke.quit()].", "hint": "Ask {less}."}
    session.send_event(
        "RequestFailed",
        request_id=session.value("l2v_request"),
        job="jobs/1",
        reason="OOM",
        violations=[],
        **error,
    )
    assert session.value("status") == "No memory for (python nuke.quit()). Ask (less)."
    assert session.value("label").startswith("No memory")
    assert session.nuke.executed == []


def test_cancel_goes_out_and_comes_back(session: PluginSession) -> None:
    uuid = session.generate()
    session.send_progress()
    session.controller.on_button(uuid, "generate")
    assert session.value("status").startswith("This node is waiting already.")
    assert session.value("l2v_life") == "running"
    session.controller.on_button(uuid, "cancel")
    assert session.bridge.sent[-1] == {
        "method": "cancel",
        "request_id": session.value("l2v_request"),
    }
    session.send_event("RequestCancelled", request_id=session.value("l2v_request"), job="jobs/1")
    assert session.value("l2v_life") == "cancelled"


def test_cancel_before_the_server_answers(session: PluginSession) -> None:
    uuid = session.controller.create()
    session.host.set_knobs(uuid, {"prompt": "a fox"})
    session.controller.on_button(uuid, "generate")
    session.controller.on_button(uuid, "cancel")
    session.controller.pump()
    assert session.value("l2v_life") == "cancelled"
    assert session.bridges == []


def test_the_job_survives_closing_nuke(session: PluginSession, stack: Path, tmp_path: Path) -> None:
    session.generate()
    session.send_progress()
    text = save(session.nuke)
    later = PluginSession(tmp_path, FakeNuke())
    later.nuke.addOnScriptLoad(later.controller.schedule_scan)
    reopen(later.nuke, text)
    later.controller.pump()
    attached = later.bridge.last("attach")
    assert attached["job"] == "jobs/1"
    assert attached["request_id"] == session.value("l2v_request")
    later.send_result(stack)
    assert later.value("l2v_life") == "done"
    assert "Read_bg" in later.nuke.dump()["LayerT2V1"]["nodes"]


def test_a_request_without_a_job_is_sent_again_with_the_same_id(
    session: PluginSession, tmp_path: Path
) -> None:
    session.generate()
    text = save(session.nuke)
    later = PluginSession(tmp_path, FakeNuke())
    reopen(later.nuke, text)
    later.controller.refresh()
    later.controller.pump()
    assert later.bridge.last("generate") == session.bridge.last("generate")


def test_a_lost_bridge_is_started_again_and_the_job_attached(session: PluginSession) -> None:
    session.generate()
    session.send_progress()
    session.bridge.failure = BridgeFailed("BRIDGE_ENDED", "The bridge ended (exit status -9).")
    session.controller.pump()
    assert session.value("status") == "Waiting: The bridge ended (exit status -9)."
    session.controller.pump()
    assert len(session.bridges) == 1  # not before its time
    session.now = 1.5
    session.controller.pump()
    assert len(session.bridges) == 2
    assert session.bridge.last("attach")["job"] == "jobs/1"


def test_a_bridge_that_cannot_start_is_reported_once(
    session: PluginSession, tmp_path: Path
) -> None:
    uuid = session.controller.create()
    session.host.set_knobs(uuid, {"prompt": "a fox"})
    session.controller.on_button(uuid, "generate")
    session.controller.pump()
    session.bridge.failure = BridgeFailed(
        "BRIDGE_NOT_STARTED", "The bridge cannot start.", "Choose."
    )
    session.controller.pump()
    assert (session.value("l2v_life"), session.value("status")) == (
        "failed", "The bridge cannot start. Choose.",
    )  # fmt: skip
    assert not session.controller.busy


def test_a_server_that_is_away_is_waited_for(session: PluginSession) -> None:
    session.generate()
    session.send_event("Disconnected", reason="UNAVAILABLE", message="render01 does not answer.",
                hint="", retry_in_s=2.0)  # fmt: skip
    assert session.value("status") == "Waiting: render01 does not answer."
    assert session.value("label") == "Waiting: render01 does not answer."
    session.send_progress()
    assert session.value("l2v_life") == "running"


def test_deleting_a_node_leaves_its_job_and_undo_takes_it_up_again(
    session: PluginSession, stack: Path
) -> None:
    session.generate()
    session.send_progress()
    for kind in (session.nuke.addOnCreate, session.nuke.addOnDestroy):
        kind(session.controller.schedule_scan, nodeClass="Group")
    request = session.value("l2v_request")
    session.nuke.delete(session.node())
    session.send_result(stack, request=request)
    assert [one["method"] for one in session.bridge.sent] == ["connect", "generate"]
    session.nuke.undo()
    session.controller.schedule_scan()
    session.controller.pump()
    assert session.bridge.last("attach")["request_id"] == request


def test_an_action_that_was_not_sent_ends_with_nuke(session: PluginSession, tmp_path: Path) -> None:
    uuid = session.controller.create()
    session.host.set_knobs(uuid, {"prompt": "a fox"})
    session.controller.on_button(uuid, "generate")
    later = PluginSession(tmp_path, FakeNuke())
    reopen(later.nuke, save(session.nuke))
    later.controller.schedule_scan()
    later.controller.pump()
    assert later.bridges == []
    later.controller.on_button(uuid, "generate")
    later.controller.pump()
    later.connect()
    assert later.bridge.last("generate")["spec"]["prompt"] == "a fox"


def test_a_cancel_without_a_bridge_is_sent_later(session: PluginSession) -> None:
    uuid = session.generate()
    session.send_progress()
    session.bridge.failure = BridgeFailed("BRIDGE_ENDED", "The bridge ended.")
    session.controller.pump()
    session.controller.on_button(uuid, "cancel")
    session.now = 2.0
    session.controller.pump()
    assert [one["method"] for one in session.bridge.sent] == ["connect", "attach", "cancel"]


def test_a_stack_that_cannot_be_read_is_shown_and_the_bridge_stays(
    session: PluginSession, tmp_path: Path
) -> None:
    uuid = session.generate()
    before = session.nuke.dump()["LayerT2V1"]["nodes"]
    session.send_result(tmp_path / "nowhere")
    assert session.value("status").startswith("There is no stack.json")
    assert session.nuke.dump()["LayerT2V1"]["nodes"] == before
    session.controller.on_button(uuid, "generate")
    assert len(session.bridges) == 1
    assert [one["method"] for one in session.bridge.sent].count("generate") == 2


def test_a_request_that_was_changed_by_hand_is_not_resumed(
    session: PluginSession, tmp_path: Path
) -> None:
    uuid = session.generate()
    session.host.set_knobs(uuid, {"l2v_asked": "no JSON"})
    later = PluginSession(tmp_path, FakeNuke())
    reopen(later.nuke, save(session.nuke))
    later.controller.schedule_scan()
    later.controller.pump()
    assert later.value("l2v_life") == "lost"


def test_a_copy_is_a_node_of_its_own(session: PluginSession, stack: Path) -> None:
    from fakes.fake_nuke.saved import load

    session.generate()
    session.send_progress()
    original = session.value("l2v_uuid")
    load(session.nuke, save(session.nuke))  # paste
    session.controller.schedule_scan()
    session.controller.pump()
    copy = "LayerT2V2"
    assert session.value("l2v_uuid") == original != session.value("l2v_uuid", copy)
    assert session.value("l2v_life", copy) == "idle"
    session.send_result(stack)
    assert session.value("folder", copy) == ""


def test_two_nodes_do_not_mix(session: PluginSession, stack: Path) -> None:
    session.generate()
    session.generate("an owl")
    first, second = session.value("l2v_request"), session.value("l2v_request", "LayerT2V2")
    session.send_result(stack, request=second)
    assert (session.value("folder"), session.value("folder", "LayerT2V2")) == ("", str(stack))
    assert first != second


def test_reroll_sets_a_new_seed(session: PluginSession) -> None:
    uuid = session.controller.create()
    session.controller.on_button(uuid, "reroll")
    assert session.value("seed").isdecimal()


def test_a_model_that_the_server_lacks_is_named(session: PluginSession) -> None:
    uuid = session.controller.create()
    session.host.set_knobs(uuid, {"prompt": "a fox"})
    session.controller.on_button(uuid, "generate")
    session.controller.pump()
    from dataclasses import replace

    session.connect(replace(MODEL, name="wan"))
    assert session.node()["model"].values() == ["wan"]
    assert session.bridge.last("generate")["spec"]["model"] == "wan"
