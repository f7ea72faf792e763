"""Nuke scripts that v0.1 saved and wrote: their nodes are taken up where they were left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.saved import load, reopen
from fakes.nk_evaluate import Evaluator
from fakes.nk_reader import read
from fakes.nk_session import PluginSession
from fakes.nk_stacks import read_frame, rerender_layers
from fakes.recorded import copy_of, moved_text
from layert2v import stack as manifest

WAITING = "LayerT2V2"

MAIN = {
    "prompt": 'an elephant [walking] on a "beach" {at} $night \\ \U0001f418',
    "background": "a beach at night",
    "foreground_1": "an elephant walking",
    "foreground_2": "a bear",
    "foreground_3": "a fox",
    "negative": "text",
    "model": "mini",
    "colorspace": "lin_ap1_scene",
    "follow_project": False,
    "width": 224,
    "height": 160,
    "frames": 1,
    "start": 1001,
    "fps": 12.0,
    "seed": "7",
    "steps": 4,
    "guidance": 1.5,
    "l2v_schema": 1,
    "l2v_life": "done",
}
LAYERS = {
    "fg_01_version": 2,
    "fg_01_prompt": "a lion walking",
    "fg_01_seed": "21",
    "fg_01_strength": 0.5,
    "fg_01_freeze": False,
    "fg_01_mute": True,
    "shadow_01_version": 2,
    "shadow_01_freeze": True,
    "bg_version": 2,
    "bg_made": "plate",
    "bg_freeze": True,
    "bg_mute": False,
}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Return the stack that the scripts show."""
    return copy_of("stack", tmp_path)


@pytest.fixture
def session(stack: Path, tmp_path: Path) -> PluginSession:
    """Return a Nuke that has opened the saved script."""
    opened = PluginSession(tmp_path, FakeNuke())
    reopen(opened.nuke, moved_text("node.nk", tmp_path))
    opened.controller.schedule_scan()
    opened.controller.pump()
    opened.connect()
    return opened


def shown_versions(session: PluginSession, node: str = "LayerT2V1") -> dict[str, str]:
    """Return the version in the path of each Read in a node, such as ``fg_01_v001``."""
    inside = session.nuke.dump()[node]["nodes"]
    reads = {name: one["knobs"]["file"] for name, one in inside.items() if name[:5] == "Read_"}
    return {name[5:]: Path(path).name.partition(".")[0] for name, path in reads.items()}


def test_the_knobs_are_the_memory(session: PluginSession, stack: Path) -> None:
    wanted = {**MAIN, **LAYERS, "folder": stack.as_posix()}
    assert {knob: session.value(knob) for knob in wanted} == wanted
    assert shown_versions(session) == {
        "bg": "bg_v002",
        "shadow_01": "shadow_01_v002",
        "fg_01": "fg_01_v002",
    }
    assert session.node().input(0).name() == "Dot1"


def test_another_version_is_shown(session: PluginSession) -> None:
    uuid = session.value("l2v_uuid")
    session.host.set_knobs(uuid, {"fg_01_version": 1})
    session.controller.set_version(uuid, "fg_01")
    assert shown_versions(session)["fg_01"] == "fg_01_v001"
    assert shown_versions(session)["shadow_01"] == "shadow_01_v001"  # it goes along
    assert "fg_01_v001" in session.nuke.toNode("Read_fg_01")["file"].value()  # exploded, too
    assert session.value("fg_01_prompt") == "an elephant walking"


def test_a_layer_is_generated_again_from_its_knobs(session: PluginSession, stack: Path) -> None:
    session.controller.on_button(session.value("l2v_uuid"), "rerender fg_01")
    sent = session.bridge.last("rerender")
    assert sent["folder"] == stack.as_posix()
    wanted = {"layers": ["fg_01"], "prompts": {"fg_01": "a lion walking"}, "seed": 21,
              "strength": 0.5, "frozen": ["shadow_01"], "at": 3}  # fmt: skip
    assert {key: sent["spec"][key] for key in wanted} == wanted
    rerender_layers(stack, "fg_01")
    session.send_result(stack, state=4)
    assert shown_versions(session)["fg_01"] == "fg_01_v003"
    assert session.value("l2v_life") == "done"


def test_a_node_that_waits_finds_its_job_again(session: PluginSession, tmp_path: Path) -> None:
    attached = session.bridge.last("attach")
    assert attached["job"] == "jobs/4d1f0a2b"
    assert attached["request_id"] == session.value("l2v_request", WAITING) != ""
    session.send_result(copy_of("stack_schema_1", tmp_path), request=attached["request_id"])
    assert session.value("l2v_life", WAITING) == "done"
    assert shown_versions(session, WAITING)["fg_01"] == "fg_01_v001"
    assert session.nuke.executed == []


@pytest.mark.parametrize("name", ["written_nodes.nk", "written_node.nk"])
def test_a_written_script_renders_the_comp(stack: Path, tmp_path: Path, name: str) -> None:
    image = Evaluator(1001).render(read(moved_text(name, tmp_path)).nodes[-1])
    assert image is not None
    comp = read_frame(manifest.read(stack), stack, "comp", 1001)
    assert np.array_equal(image.rgba().astype(np.float16), comp)


def test_a_written_node_is_taken_up(stack: Path, tmp_path: Path) -> None:
    session = PluginSession(tmp_path, FakeNuke())
    load(session.nuke, moved_text("written_node.nk", tmp_path))
    session.controller.schedule_scan()
    session.controller.pump()
    assert session.value("folder") == stack.as_posix()
    session.controller.on_button(session.value("l2v_uuid"), "rerender fg_01")
    session.controller.pump()
    session.connect()
    assert session.bridge.last("rerender")["spec"]["layers"] == ["fg_01"]
