"""The panel of the LayerT2V node: labels of every host, knob names of saved scripts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layert2v import stack as manifest
from layert2v.labels import LABELS
from layert2v_nuke.graph import node
from layert2v_nuke.graph.model import UserKnob

# Knobs that only Nuke has, with the words of Nuke.
NUKE_LABELS = {
    "layert2v": "LayerT2V", "follow_project": "Size and range of the project", "reroll": "Re-roll",
    "rerender": "Re-render what is not frozen", "preview": "Preview", "explode": "Explode",
    "footage_tab": "Footage", "footage_plate": "Clean plate of input bg",
    "subject_add": "Add subject",
}  # fmt: skip
NUKE_LAYER_LABELS = {"_made": "Source", "_mute": "Mute"}
FOREGROUND_LABELS = {
    "_matte": "Matte", "_refine": "Refine with input matte", "_refine_points": "Refine with points",
    **{f"_point_{k}_is": f"Point {k}" for k in (1, 2, 3)},
    **{f"_point_{k}": "" for k in (1, 2, 3)},
    **{f"_point_{k}_frame": "Frame" for k in (1, 2, 3)},
}  # fmt: skip
# Knobs about footage that have the name of their field.
FOOTAGE_FIELDS = (
    "footage_range", "footage_first", "footage_last", "footage_handles", "footage_split",
    "footage_ignore_cuts",
    "footage_scale", "decompose",
)  # fmt: skip


def visible(knobs: tuple[UserKnob, ...]) -> dict[str, str]:
    return {knob.name: knob.label for knob in knobs if knob.flags != node.HIDDEN}


def test_labels_of_the_node_are_those_of_every_host() -> None:
    labels = visible(node.node_knobs("a-uuid"))
    shared = {name: LABELS[field].text for name, field in node.FIELDS.items()}
    foreground = shared.pop("foreground")
    place = shared.pop("place")
    numbered = {f"foreground_{number}": f"{foreground} {number}" for number in (1, 2, 3)}
    numbered |= {f"place_{number}": f"{place} {number}" for number in (1, 2, 3)}
    numbered |= {f"draw_place_{number}": "Draw" for number in (1, 2, 3)}
    footage = {name: LABELS[name].text for name in FOOTAGE_FIELDS}
    assert labels == {**shared, **numbered, **NUKE_LABELS, **footage}


@pytest.mark.parametrize(("layer", "plate"), [("bg", "bg"), ("fg_01", "fg"), ("shadow_01", "")])
def test_labels_of_a_layer_are_those_of_every_host(foxes: Path, layer: str, plate: str) -> None:
    labels = visible(node.layer_knobs(manifest.read(foxes)))
    own = {name: text for name, text in labels.items() if name.startswith(f"{layer}_")}
    shared = {suffix: LABELS[field].text for suffix, field in node.LAYER_FIELDS.items()}
    wanted = {f"{layer}{end}": text for end, text in {**shared, **NUKE_LAYER_LABELS}.items()}
    if plate == "fg":
        wanted |= {f"{layer}{end}": text for end, text in FOREGROUND_LABELS.items()}
    if plate:
        wanted[f"{layer}_plate"] = f"Use input {plate}"
    assert own == {**wanted, f"{layer}_tab": layer}


def test_points_of_a_foreground_begin_in_the_middle_of_its_first_frame(foxes: Path) -> None:
    knobs = {knob.name: knob.value for knob in node.layer_knobs(manifest.read(foxes))}  # 28 x 18
    assert [knobs[f"fg_02_point_{k}"] for k in (1, 2, 3)] == [(10.5, 9.0), (14.0, 9.0), (17.5, 9.0)]
    assert {knobs[f"fg_02_point_{k}_is"] for k in (1, 2, 3)} == {"off"}
    assert {knobs[f"fg_02_point_{k}_frame"] for k in (1, 2, 3)} == {1001}


def test_only_a_foreground_of_a_stack_with_its_footage_is_refined(foxes: Path) -> None:
    stack = manifest.read(foxes)
    refined = {knob.name for knob in node.layer_knobs(stack) if "_refine" in knob.name}
    assert refined == {f"fg_0{n}_refine{end}" for n in (1, 2) for end in ("", "_points")}
    without = {knob.name for knob in node.layer_knobs(replace(stack, flats=()))}
    assert not [name for name in without if "_refine" in name or "_point_" in name]


def test_every_knob_of_a_layer_goes_with_its_tab(foxes: Path) -> None:
    knobs = node.layer_knobs(manifest.read(foxes))
    own = {knob.name for knob in knobs if knob.name.startswith("fg_01_")}
    assert own == set(node.layer_knob_names("fg_01"))
    holding = {knob.name for knob in knobs if node.holds_value(knob) and knob.name in own}
    assert holding == set(node.layer_knob_names("fg_01", values=True))


def test_hidden_knobs_have_the_names_of_saved_scripts() -> None:
    hidden = [knob.name for knob in node.node_knobs("a-uuid") if knob.flags == node.HIDDEN]
    assert hidden == [
        "l2v_schema", "l2v_uuid", "l2v_life", "l2v_request", "l2v_job", "l2v_asked",
    ]  # fmt: skip
