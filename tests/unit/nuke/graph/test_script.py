"""The written script, read by another hand and rendered from the real EXR files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.nk_evaluate import Evaluator, Image, read_exr
from fakes.nk_reader import Node, Script, Word, read
from fakes.nk_stacks import frame_numbers, numpy_over, oiio_over, read_frame, rerender_layers
from layert2v import stack as manifest
from layert2v_nuke.graph import node
from layert2v_nuke.graph.model import ReadColorspace, nuke_layer
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.graph.script import root_node, to_script

COLORSPACE = ReadColorspace("scene_linear")


def script_of_open_nodes(folder: Path) -> Script:
    return read(to_script(open_comp(manifest.read(folder), folder, COLORSPACE)))


def script_of_node(folder: Path) -> Script:
    return read(to_script(node.node_graph(manifest.read(folder), folder, COLORSPACE)))


def last_node(parsed: Script) -> Node:
    return parsed.nodes[-1]


def render_comp(parsed: Script, frame: int) -> Image:
    image = Evaluator(frame).render(last_node(parsed))
    assert image is not None
    return image


@pytest.mark.parametrize("form", [script_of_open_nodes, script_of_node])
def test_the_graph_renders_the_comp(foxes: Path, form: Callable[[Path], Script]) -> None:
    stack = manifest.read(foxes)
    for frame in frame_numbers(stack):
        rendered = render_comp(form(foxes), frame).rgba()
        assert np.abs(rendered - numpy_over(stack, foxes, frame)).max() <= 1e-6
        assert np.abs(rendered - oiio_over(stack, foxes, frame)).max() <= 1e-6
        # The delivered comp is the same, rounded to half.
        assert np.array_equal(rendered.astype(np.float16), read_frame(stack, foxes, "comp", frame))


@pytest.mark.parametrize("form", ["open", "node"])
def test_a_background_alone_is_its_own_comp(foxes: Path, form: str) -> None:
    alone = without_layers(manifest.read(foxes), "fg_01", "shadow_01", "fg_02", "shadow_02")
    graph = (
        open_comp(alone, foxes, COLORSPACE)
        if form == "open"
        else node.node_graph(alone, foxes, COLORSPACE)
    )
    rendered = render_comp(read(to_script(graph)), 1001).rgba()
    assert np.array_equal(rendered, read_frame(alone, foxes, "bg", 1001))


def test_the_node_carries_every_layer(foxes: Path) -> None:
    stack = manifest.read(foxes)
    rendered = render_comp(script_of_node(foxes), 1002)
    for layer in stack.layers:
        wanted = read_frame(stack, foxes, layer.name, 1002)
        assert np.array_equal(rendered.layer(layer.name), wanted)


@pytest.mark.parametrize("name", ["bg", "shadow_01", "fg_01", "fg_02"])
def test_a_shuffle_downstream_takes_a_layer_out(foxes: Path, name: str) -> None:
    parsed = script_of_node(foxes)
    shuffle = Node("Shuffle", {"in": Word(name, "bare")}, inputs=[last_node(parsed)])
    image = Evaluator(1001).render(shuffle)
    assert image is not None
    assert np.array_equal(image.rgba(), read_frame(manifest.read(foxes), foxes, name, 1001))


def test_the_script_declares_the_layers_it_uses(foxes: Path) -> None:
    parsed = script_of_node(foxes)
    assert list(parsed.layers) == ["bg", "shadow_01", "fg_01", "shadow_02", "fg_02"]
    copied = {one.knobs[f"to{i}"].text for one in last_node(parsed).nodes if one.cls == "Copy"
              for i in range(4)}  # fmt: skip
    assert copied == {channel for layer in parsed.layers.values() for channel in layer}


def without_layers(stack: manifest.Stack, *gone: str) -> manifest.Stack:
    layers = tuple(layer for layer in stack.layers if layer.name not in gone)
    return replace(stack, layers=layers)


@pytest.mark.parametrize(
    ("muted", "gone"),
    [
        ("fg_02", ("fg_02", "shadow_02")),
        ("shadow_01", ("shadow_01",)),
        ("fg_01", ("fg_01", "shadow_01")),
    ],
)
def test_mute_leaves_a_layer_out_and_its_shadow_with_it(
    foxes: Path, muted: str, gone: tuple[str, ...]
) -> None:
    parsed = script_of_node(foxes)
    last_node(parsed).knobs[node.mute_knob(muted)] = Word("true", "bare")
    wanted = numpy_over(without_layers(manifest.read(foxes), *gone), foxes, 1001)
    assert np.abs(render_comp(parsed, 1001).rgba() - wanted).max() <= 1e-6


def test_a_muted_background_leaves_the_foregrounds_on_nothing(foxes: Path) -> None:
    parsed = script_of_node(foxes)
    last_node(parsed).knobs["bg_mute"] = Word("true", "bare")
    wanted = numpy_over(without_layers(manifest.read(foxes), "bg"), foxes, 1001)
    assert np.abs(render_comp(parsed, 1001).rgba() - wanted).max() <= 1e-6


@pytest.mark.parametrize("gone", [("fg_02", "shadow_02"), ("bg",)])
def test_open_nodes_keep_what_was_muted(foxes: Path, gone: tuple[str, ...]) -> None:
    stack = manifest.read(foxes)
    parsed = read(to_script(open_comp(stack, foxes, COLORSPACE, muted=gone[:1])))
    wanted = numpy_over(without_layers(stack, *gone), foxes, 1001)
    assert np.abs(render_comp(parsed, 1001).rgba() - wanted).max() <= 1e-6


def swap(parsed: Script) -> None:
    last_node(parsed).inputs.reverse()


def drop(parsed: Script) -> None:
    parsed.find("Merge_fg_02").inputs[1] = None


def stencil(parsed: Script) -> None:
    parsed.find("Merge_shadow_01").knobs["operation"] = Word("stencil", "bare")


def wrong_version(parsed: Script) -> None:
    knobs = parsed.find("Read_fg_01").knobs
    knobs["file"] = Word(knobs["file"].text.replace("v001", "v002"), "bare")


def wrong_range(parsed: Script) -> None:
    parsed.find("Read_fg_01").knobs["last"] = Word("1001", "bare")


def cropped_read(parsed: Script) -> None:
    read_bg = parsed.find("Read_bg")
    crop = Node("Crop", {"box": Word("2 2 20 14", "braced")}, inputs=[read_bg])
    parsed.find("Merge_shadow_01").inputs[0] = crop


def box_of_a(parsed: Script) -> None:
    merge = parsed.find("Merge_fg_02")
    crop = Node("Crop", {"box": Word("4 4 20 14", "braced")}, inputs=[parsed.find("Read_fg_02")])
    merge.inputs[1], merge.knobs["bbox"] = crop, Word("A", "bare")


def matte(parsed: Script) -> None:
    parsed.find("Merge_fg_01").knobs["operation"] = Word("matte", "bare")


def other_order(parsed: Script) -> None:
    one, two = parsed.find("Merge_fg_01"), parsed.find("Merge_fg_02")
    one.inputs[1], two.inputs[1] = two.inputs[1], one.inputs[1]


MUTATIONS = [
    swap, drop, stencil, wrong_version, wrong_range, cropped_read, box_of_a, matte, other_order,
]  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_wrong_graph_is_seen(
    foxes: Path, tmp_path: Path, mutate: Callable[[Script], None]
) -> None:
    folder = Path(shutil.copytree(foxes, tmp_path / "s"))
    stack = manifest.read(folder)
    rerender_layers(folder, "fg_01")
    parsed = read(to_script(open_comp(stack, folder, COLORSPACE)))
    wanted = numpy_over(stack, folder, 1002)
    assert np.abs(render_comp(parsed, 1002).rgba() - wanted).max() <= 1e-6
    mutate(parsed)
    differs = np.abs(render_comp(parsed, 1002).rgba() - wanted)
    assert differs.max() > 0.01
    if mutate is stencil:  # black shadows: only alpha differs
        assert differs[..., :3].max() <= 1e-6


def test_files_keep_the_rules_by_which_nuke_names_channels(foxes: Path) -> None:
    stack = manifest.read(foxes)
    for layer in stack.layers:
        image = read_exr(foxes / layer.files[0].path)
        assert sorted(image.channels) == ["rgba.alpha", "rgba.blue", "rgba.green", "rgba.red"]
        assert image.shape == (stack.height, stack.width)
    assert len(stack.layers) * 4 < 1024


@pytest.mark.parametrize("name", ["mask", "left", "depth", "other"])
def test_a_layer_never_takes_a_name_that_nuke_has(name: str) -> None:
    assert nuke_layer(name) == f"{name}_layer"
    assert nuke_layer("fg_01") == "fg_01"


def test_alt_up_finds_one_version_in_every_path(foxes: Path) -> None:
    for one in script_of_open_nodes(foxes).nodes:
        if one.cls == "Read":
            # The documented tokens: v and digits after a slash, a dot or an underscore.
            found = re.findall(r"[/_.]v(\d+)", one.knobs["file"].text.split("/foxes/")[1])
            assert found == ["001", "001"]


def test_a_whole_project_says_nothing_about_color(foxes: Path) -> None:
    stack = manifest.read(foxes)
    parsed = read(to_script(open_comp(stack, foxes, COLORSPACE), root_node(stack)))
    root = parsed.nodes[0]
    assert root.cls == "Root"
    assert set(root.knobs) == {"first_frame", "last_frame", "frame", "fps", "format"}
    assert root.knobs["last_frame"].text == "1003"
