"""What the knobs of a node ask the server for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.app import OCIO_SPACES
from fakes.nk_session import PluginSession
from layert2v import stack as manifest


def test_generate_sends_what_the_knobs_say(session: PluginSession) -> None:
    session.nuke.set_project(format=(1920, 1080, 1.0), first_frame=1001, last_frame=1010, fps=25.0)
    session.generate(foreground_1="a fox", negative="text", seed="7")
    sent = session.bridge.last("generate")
    spec = sent["spec"]
    assert (spec["width"], spec["height"], spec["frames"]) == (320, 180, 10)
    assert (spec["start_frame"], spec["fps"], spec["seed"]) == (1001, 25.0, 7)
    assert spec["foreground_prompts"] == ["a fox"]
    assert sent["request_id"] == session.value("l2v_request") != ""
    assert "320 x 180" in session.value("size_note")
    assert "1920 x 1080" in session.value("size_note")


def test_a_preset_stands_in_for_knobs_that_say_nothing(session: PluginSession) -> None:
    session.nuke.set_project(format=(1920, 1080, 1.0), first_frame=1001, last_frame=1010, fps=25.0)
    session.generate(preset="final")
    spec = session.bridge.last("generate")["spec"]
    assert (spec["width"], spec["frames"], spec["steps"], spec["guidance"]) == (320, 10, 8, 5.0)
    session.generate(preset="final", follow_project=False, steps=3)
    spec = session.bridge.last("generate")["spec"]
    assert (spec["width"], spec["height"], spec["frames"], spec["steps"]) == (128, 96, 9, 3)


def test_text_with_brackets_is_read_as_it_is_written(session: PluginSession, stack: Path) -> None:
    code = "a [python {nuke.scriptClear()}] $env(HOME)"
    session.generate(code, background=code, foreground_1=code, negative=code)
    spec = session.bridge.last("generate")["spec"]
    assert {spec["prompt"], spec["background_prompt"], spec["negative_prompt"]} == {code}
    session.send_result(stack)
    uuid = str(session.node()["l2v_uuid"].value())
    session.host.set_knobs(uuid, {"fg_01_prompt": code})
    session.controller.on_button(uuid, "rerender fg_01")
    assert session.bridge.last("rerender")["spec"]["prompts"] == {"fg_01": code}
    assert session.nuke.executed == []
    assert session.value("prompt") == code
    assert session.nuke.executed == [f"Group.prompt: {code}"]  # what ``value`` might have run


def test_a_layer_of_footage_is_generated_by_the_model_of_the_node(
    session: PluginSession, stack: Path
) -> None:
    of_footage = stack.parent / "shot"
    of_footage.mkdir()
    manifest.write(replace(manifest.read(stack), model="", model_digest=""), of_footage)
    uuid = session.generate_stack(of_footage)
    session.controller.on_button(uuid, "rerender bg")
    assert session.bridge.last("rerender")["spec"]["model"] == "mini"
    session.send_result(stack)
    session.controller.on_button(uuid, "rerender bg")
    assert session.bridge.last("rerender")["spec"]["model"] == ""  # that of the stack


def test_frozen_layers_are_left_out_and_refused(session: PluginSession, stack: Path) -> None:
    uuid = session.generate_stack(stack)
    session.host.set_knobs(uuid, {"bg_freeze": True, "shadow_01_freeze": True})
    session.controller.on_button(uuid, "rerender bg")
    assert session.value("status").startswith("bg is frozen.")
    session.controller.on_button(uuid, "rerender fg_01")
    spec = session.bridge.last("rerender")["spec"]
    assert (spec["layers"], spec["frozen"]) == (["fg_01"], ["shadow_01"])


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"preset": "standard"}, "Mini has no preset 'standard'. It has: preview, final."),
        ({"prompt": "  "}, "There is no prompt."),
        ({"seed": "x"}, "The seed is not a whole number."),
        ({"steps": 5000}, "The number of steps"),
        ({"foreground_1": "a fox", "place_1": "left"}, "'left' is no region."),
    ],
)
def test_a_wrong_request_is_shown_on_the_node(
    session: PluginSession, knobs: dict[str, object], sentence: str
) -> None:
    session.generate(**{"prompt": "a fox", **knobs})
    assert sentence in session.value("status")
    assert session.value("l2v_life") == "failed"
    assert [one["method"] for one in session.bridge.sent] == ["connect"]


def test_the_project_s_color_space_goes_with_the_request(tmp_path: Path) -> None:
    session = PluginSession(tmp_path, FakeNuke(spaces=OCIO_SPACES))
    session.nuke.set_project(
        colorManagement="OCIO", OCIO_config="aces_1.2", workingSpaceLUT="scene_linear"
    )
    session.generate()
    assert session.bridge.last("generate")["spec"]["colorspace"] == "lin_ap1_scene"


def test_places_belong_to_the_foregrounds_that_have_a_prompt(session: PluginSession) -> None:
    session.generate(foreground_2="a fox", place_1="box 0 0 1 1", place_2="ellipse 0.5 0 0.5 1")
    spec = session.bridge.last("generate")["spec"]
    assert spec["foreground_prompts"] == ["a fox"]
    (place,) = spec["placements"]
    assert (place["foreground"], place["shape"], place["x"]) == (1, "ellipse", 0.5)


def test_lighting_is_matched_by_generating_ref_alone(session: PluginSession, stack: Path) -> None:
    uuid = session.generate_stack(stack)
    session.controller.on_button(uuid, "match_lighting")
    spec = session.bridge.last("rerender")["spec"]
    assert (spec["action"], spec["layers"], spec["frozen"]) == ("regenerate", ["ref"], [])
