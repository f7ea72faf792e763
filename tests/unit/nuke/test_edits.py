"""Changes of the graph: versions, open Reads, creation and undo."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.saved import load, save
from fakes.nk_session import PluginSession
from fakes.nk_stacks import rerender_layers
from layert2v import stack as manifest


def test_another_version_takes_its_shadow_along(session: PluginSession, stack: Path) -> None:
    session.generate_stack(stack)
    rerender_layers(stack, "fg_01", "shadow_01")
    session.controller.on_button(session.value("l2v_uuid"), "rerender fg_01")
    session.send_result(stack, state=2)
    change_knob(session, "fg_01_version", 1)
    inside = session.nuke.dump()["LayerT2V1"]["nodes"]
    assert "shadow_01_v001" in inside["Read_shadow_01"]["knobs"]["file"]
    assert session.value("shadow_01_version") == 1


def test_a_stack_in_a_space_that_is_not_offered_is_converted(
    session: PluginSession, stack: Path
) -> None:
    state = manifest.read(stack)
    manifest.write(replace(state, colorspace="lin_p3d65_scene"), stack)
    uuid = session.generate_stack(stack)
    inside = session.nuke.dump()["LayerT2V1"]["nodes"]
    converted = {f"Convert_{layer.name}" for layer in state.layers}
    assert {name for name in inside if name.startswith("Convert_")} == converted
    assert inside["Read_bg"]["knobs"]["raw"] is True
    assert "converted to Linear Rec.709 (sRGB) by a matrix" in inside["Read_bg"]["knobs"]["label"]
    session.controller.on_button(uuid, "explode")
    assert converted <= session.nuke.dump().keys()


def change_knob(session: PluginSession, knob: str, value: object) -> None:
    """Change a knob as an artist does; the node's own code finds the plug-in."""
    from layert2v_nuke import api

    before = api.plugin_state
    api.plugin_state = lambda: session.plugin  # type: ignore[assignment]
    try:
        session.nuke.change(session.node(), knob, value)
    finally:
        api.plugin_state = before


def test_a_version_that_is_not_there_is_shown(session: PluginSession, stack: Path) -> None:
    session.generate_stack(stack)
    change_knob(session, "fg_01_version", 7)
    assert session.value("status") == "There is no v007 of fg_01. There are: v001."
    assert session.value("l2v_life") == "failed"
    change_knob(session, "fg_01_version", 1)
    assert session.value("status").startswith("foxes: 5 layers")
    assert session.value("l2v_life") == "done"


def test_an_open_read_that_the_artist_has_turned_back_stays(
    session: PluginSession, stack: Path
) -> None:
    uuid = session.generate_stack(stack)
    session.controller.on_button(uuid, "explode")
    rerender_layers(stack, "fg_01")
    session.send_result(stack, request=rerender_all(session, uuid))
    pinned = session.nuke.toNode("Read_fg_01")
    pinned["file"].setValue(pinned["file"].value().replace("v002", "v001"))  # Alt+Down
    rerender_layers(stack, "fg_01")
    session.send_result(stack, request=rerender_all(session, uuid))
    assert "fg_01_v001" in pinned["file"].value()
    assert session.value("fg_01_version") == 3


def test_undo_of_a_creation_leaves_nothing(session: PluginSession) -> None:
    session.controller.create()
    assert session.nuke.undo() == "Create LayerT2V"
    assert session.nuke.dump() == {}


def test_knobs_of_the_artist_s_own_are_left_alone(session: PluginSession, stack: Path) -> None:
    uuid = session.generate()
    own = session.nuke.Int_Knob("my_version", "mine")
    session.node().addKnob(own)
    session.send_result(stack)
    session.controller.on_button(uuid, "rerender fg_01")
    assert session.bridge.last("rerender")["spec"]["layers"] == ["fg_01"]
    assert session.node().knob("my_version") is not None


def test_freeze_and_mute_outlive_another_set_of_layers(session: PluginSession, stack: Path) -> None:
    uuid = session.generate_stack(stack)
    session.host.set_knobs(uuid, {"bg_freeze": True, "fg_01_mute": True})
    session.controller.on_button(uuid, "generate")
    other = Path(shutil.copytree(stack, stack.with_name("other")))
    session.send_result(other)
    assert session.value("folder") == str(other)
    assert (session.value("bg_freeze"), session.value("fg_01_mute")) == (True, True)


def test_a_plate_is_frozen_where_it_arrives_and_shows_its_source(
    session: PluginSession, stack: Path
) -> None:
    uuid = session.generate_stack(stack)
    assert (session.value("fg_01_made"), session.value("bg_freeze")) == ("seed 1", False)
    request = rerender_all(session, uuid)
    rerender_layers(stack, "bg", source="plate")
    session.send_result(stack, request=request)
    assert (session.value("bg_made"), session.value("bg_freeze")) == ("plate", True)
    session.controller.on_button(uuid, "rerender")
    assert "bg" not in session.bridge.last("rerender")["spec"]["layers"]
    session.host.set_knobs(uuid, {"bg_freeze": False})
    rerender_layers(stack, "fg_01")
    session.send_result(stack)
    assert not session.value("bg_freeze")


def test_the_inputs_stay_connected_when_the_inside_changes(
    session: PluginSession, stack: Path
) -> None:
    session.generate()
    plate = session.nuke.nodes.Dot()
    session.node().setInput(0, plate)
    session.send_result(stack)
    assert session.node().input(0) == plate


def rerender_all(session: PluginSession, uuid: str) -> str:
    session.controller.on_button(uuid, "rerender")
    return str(session.bridge.sent[-1]["request_id"])


def test_a_stack_without_a_name_for_its_space_is_raw_with_a_note(
    foxes: Path, tmp_path: Path
) -> None:
    session = PluginSession(tmp_path, FakeNuke(spaces=("scene_linear", "ACES - ACEScg")))
    session.nuke.set_project(
        colorManagement="OCIO", OCIO_config="aces_1.2", workingSpaceLUT="scene_linear"
    )
    session.controller.import_stack(foxes)
    read_bg = session.nuke.dump()["LayerT2V1"]["nodes"]["Read_bg"]["knobs"]
    assert read_bg["raw"] is True
    assert "Linear Rec.709" in read_bg["label"]


def subject_session(session: PluginSession, *words: str) -> str:
    """Create a node with subjects and return its uuid."""
    uuid = session.controller.create()
    for number, word in enumerate(words, 1):
        session.controller.on_button(uuid, "subject_add")
        session.host.set_knobs(uuid, {f"subject_{number}_words": word})
    return uuid


def subject_words(session: PluginSession) -> list[str]:
    knobs = session.node().knobs()
    return [session.value(name) for name in knobs if name.endswith("_words")]


def test_subjects_are_added_with_handles_in_the_middle(session: PluginSession) -> None:
    session.nuke.set_project(format=(96, 64, 1.0), frame=1007)
    subject_session(session, "the dog")
    assert session.node()["subject_1_box"].array() == [24.0, 16.0, 72.0, 48.0]
    assert session.node()["subject_1_point_2"].array() == [48.0, 32.0]
    assert session.value("subject_1_box_frame") == 1007
    assert not session.value("subject_1_has_box")
    session.nuke.undo()  # the name
    assert session.nuke.undo() == "LayerT2V: add a subject"
    assert subject_words(session) == []


@pytest.mark.parametrize(
    ("press", "order"),
    [
        ("subject_nearer 3", ["dog", "kite", "ball"]),
        ("subject_farther 1", ["ball", "dog", "kite"]),
        ("subject_nearer 1", ["dog", "ball", "kite"]),  # the nearest already
        ("subject_farther 3", ["dog", "ball", "kite"]),
        ("subject_remove 2", ["dog", "kite"]),
        ("subject_remove 3", ["dog", "ball"]),
    ],
)
def test_the_order_of_subjects(session: PluginSession, press: str, order: list[str]) -> None:
    uuid = subject_session(session, "dog", "ball", "kite")
    session.host.set_knobs(uuid, {"subject_3_box": (1.0, 2.0, 3.0, 4.0)})
    session.controller.on_button(uuid, press)
    assert subject_words(session) == order
    if "kite" in order:
        box = session.node()[f"subject_{order.index('kite') + 1}_box"].array()
        assert box == [1.0, 2.0, 3.0, 4.0]
    assert "subject_3_tab" in session.node().knobs() or len(order) == 2


def test_subjects_are_saved_with_the_script(session: PluginSession) -> None:
    uuid = subject_session(session, 'a "dog" [python 1]', "ball")
    session.host.set_knobs(uuid, {"subject_2_point_1": (7.5, 3.0), "subject_2_matte": "red"})
    again = FakeNuke()
    load(again, save(session.nuke))
    assert again.dump() == session.nuke.dump()
    node = again.toNode("LayerT2V1")
    assert node is not None
    assert node["subject_2_point_1"].array() == [7.5, 3.0]
    assert session.nuke.executed == []


def test_a_place_is_drawn_in_the_viewer(plugin_api: PluginSession) -> None:
    plugin_api.nuke.set_project(format=(200, 100, 1.0))
    uuid = plugin_api.controller.create()
    plugin_api.host.set_knobs(uuid, {"place_2": "ellipse 0.5 0 0.5 0.4 * 2"})
    for number in (1, 2, 2):
        plugin_api.controller.on_button(uuid, f"draw_place {number}")
    assert plugin_api.node()["place_1_box"].array() == [50.0, 25.0, 150.0, 75.0]
    assert plugin_api.value("place_1") == "box 0.25 0.25 0.5 0.5"
    assert plugin_api.node()["place_2_box"].array() == [100.0, 60.0, 200.0, 100.0]
    plugin_api.nuke.move_handle(plugin_api.node(), "place_2_box", (20.0, -30.0, 60.0, 50.0))
    assert plugin_api.value("place_2") == "ellipse 0.1 0.5 0.2 0.5 * 2"
    plugin_api.nuke.move_handle(plugin_api.node(), "place_2_box", (300.0, 0.0, 400.0, 50.0))
    assert plugin_api.value("place_2") == "ellipse 0.1 0.5 0.2 0.5 * 2"  # none of it is seen


def test_a_handle_that_is_moved_counts_on_the_frame_that_is_shown(
    plugin_api: PluginSession,
) -> None:
    subject_session(plugin_api, "dog")
    plugin_api.nuke.set_project(frame=1012)
    plugin_api.nuke.move_handle(plugin_api.node(), "subject_1_box", (1.0, 2.0, 30.0, 40.0))
    assert plugin_api.value("subject_1_has_box")
    assert plugin_api.value("subject_1_box_frame") == 1012
    plugin_api.nuke.move_handle(plugin_api.node(), "subject_1_point_1", (9.0, 9.0))
    assert plugin_api.value("subject_1_point_1_is") == "on the subject"
    plugin_api.host.set_knobs(plugin_api.value("l2v_uuid"), {"subject_1_point_1_is": "beside it"})
    plugin_api.nuke.move_handle(plugin_api.node(), "subject_1_point_1", (8.0, 9.0))
    assert plugin_api.value("subject_1_point_1_is") == "beside it"
    assert plugin_api.value("subject_1_point_1_frame") == 1012


def test_a_point_of_a_layer_that_is_moved_counts_on_the_frame_that_is_shown(
    plugin_api: PluginSession, stack: Path
) -> None:
    plugin_api.generate_stack(stack)
    plugin_api.nuke.set_project(frame=1003)
    plugin_api.nuke.move_handle(plugin_api.node(), "fg_02_point_2", (9.0, 9.0))
    assert plugin_api.value("fg_02_point_2_is") == "on the subject"
    assert plugin_api.value("fg_02_point_2_frame") == 1003
    assert plugin_api.host.knob_values(plugin_api.value("l2v_uuid"))["fg_02_point_2"] == (9.0, 9.0)
    assert plugin_api.value("fg_01_point_2_is") == plugin_api.value("fg_02_point_1_is") == "off"


def test_a_point_of_the_artist_s_own_is_left_alone(plugin_api: PluginSession, stack: Path) -> None:
    plugin_api.generate_stack(stack)
    plugin_api.node().addKnob(plugin_api.nuke.XY_Knob("my_point_1", "mine"))
    before = plugin_api.node()._state.dump()["knobs"]
    plugin_api.nuke.move_handle(plugin_api.node(), "my_point_1", (1.0, 2.0))
    assert plugin_api.node()._state.dump()["knobs"] == {**before, "my_point_1": (1.0, 2.0)}
    assert plugin_api.nuke.messages == []


def test_points_of_a_layer_are_saved_with_the_script(session: PluginSession, stack: Path) -> None:
    uuid = session.generate_stack(stack)
    point = {"fg_01_point_1": (7.5, 3.0), "fg_01_point_1_is": "beside it"}
    session.host.set_knobs(uuid, {**point, "fg_01_point_1_frame": 1002})
    again = PluginSession(stack.parent, FakeNuke())
    load(again.nuke, save(session.nuke))
    assert again.nuke.dump() == session.nuke.dump()
    values = again.host.knob_values(uuid)
    assert {name: values[name] for name in point} == point
    assert values["fg_01_point_1_frame"] == 1002


def test_points_go_off_where_a_new_version_of_their_layer_arrives(
    session: PluginSession, stack: Path
) -> None:
    uuid = session.generate_stack(stack)
    on: dict[str, object] = {f"fg_0{n}_point_1": (n + 0.5, 3.0) for n in (1, 2)}
    on |= {f"fg_0{n}_point_1_is": "on the subject" for n in (1, 2)}
    session.host.set_knobs(uuid, on)
    request = rerender_all(session, uuid)
    rerender_layers(stack, "fg_01", "shadow_01", "bg")
    session.send_result(stack, state=2, request=request)
    values = session.host.knob_values(uuid)
    assert {name: values[name] for name in on} == {**on, "fg_01_point_1_is": "off"}
    assert session.nuke.undo() == "LayerT2V: foxes v002"
    values = session.host.knob_values(uuid)
    assert {name: values[name] for name in on} == on
    assert values["fg_01_version"] == 1


def test_another_stack_has_points_of_its_own(session: PluginSession, stack: Path) -> None:
    uuid = session.generate_stack(stack)
    session.host.set_knobs(uuid, {"fg_01_point_1_is": "beside it", "fg_01_point_1": (1.0, 2.0)})
    session.controller.on_button(uuid, "generate")
    session.send_result(Path(shutil.copytree(stack, stack.with_name("other"))))
    assert session.value("fg_01_point_1_is") == "off"
    assert session.node()["fg_01_point_1"].array() == [10.5, 9.0]
    session.nuke.undo()
    assert session.value("fg_01_point_1_is") == "beside it"
    assert session.node()["fg_01_point_1"].array() == [1.0, 2.0]


def remove_point_knobs(session: PluginSession) -> None:
    """Leave the node as it was before layers had points."""
    for name, knob in session.node().knobs().items():
        if "_point_" in name or name.endswith("_refine_points"):
            session.node().removeKnob(knob)


def test_a_node_without_points_of_layers_shows_new_versions(
    session: PluginSession, stack: Path
) -> None:
    uuid = session.generate_stack(stack)
    remove_point_knobs(session)
    request = rerender_all(session, uuid)
    rerender_layers(stack, "fg_01", "shadow_01")
    session.send_result(stack, state=2, request=request)
    assert (session.value("l2v_life"), session.value("fg_01_version")) == ("done", 2)
    session.controller.on_button(uuid, "refine_points fg_01")
    assert session.value("status").startswith("No point of fg_01 is on.")
    session.controller.on_button(uuid, "generate")
    session.send_result(Path(shutil.copytree(stack, stack.with_name("other"))))
    assert session.value("fg_01_point_1_is") == "off"  # another stack brings them


def test_the_menu_takes_the_selection_as_footage(plugin_api: PluginSession) -> None:
    read = plugin_api.nuke.nodes.Read()
    read.setSelected(True)
    plugin_api.run_command("Decompose")
    assert plugin_api.node().input(2) == read
    assert plugin_api.nuke.dump()["LayerT2V1"]["nodes"]["Output1"]["inputs"] == ["footage"]
