"""The same graph by two ways: Nuke's functions on the strict fake, and the written script."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import PyOpenColorIO as ocio
import pytest

from fakes.fake_nuke import FakeNuke, Forbidden
from fakes.fake_nuke.saved import load, save
from fakes.nk_evaluate import Evaluator
from fakes.nk_reader import read
from fakes.nk_stacks import numpy_over
from layert2v import stack as manifest
from layert2v_nuke.graph import node
from layert2v_nuke.graph.build import build
from layert2v_nuke.graph.colorspaces import choose_colorspace
from layert2v_nuke.graph.model import Graph, Node, ReadColorspace
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.graph.script import to_script


def open_graph(folder: Path) -> Graph:
    return open_comp(manifest.read(folder), folder, ReadColorspace("linear"), owner="some-node")


def node_graph(folder: Path) -> Graph:
    return node.node_graph(manifest.read(folder), folder, ReadColorspace("linear"), "a-uuid")


P3 = choose_colorspace("lin_p3d65_scene", (), working="lin_ap1_scene")


def open_converted_graph(folder: Path) -> Graph:
    return open_comp(manifest.read(folder), folder, P3)


def converted_node_graph(folder: Path) -> Graph:
    return node.node_graph(manifest.read(folder), folder, P3, "a-uuid")


def build_graph(graph: Graph) -> FakeNuke:
    nuke = FakeNuke()
    build(nuke, graph)
    return nuke


GRAPHS = [open_graph, node_graph, open_converted_graph, converted_node_graph]


def load_script(text: str) -> FakeNuke:
    nuke = FakeNuke()
    load(nuke, text)
    return nuke


@pytest.mark.parametrize("graph", GRAPHS)
def test_calls_and_script_make_the_same_graph(foxes: Path, graph: Any) -> None:
    assert build_graph(graph(foxes)).dump() == load_script(to_script(graph(foxes))).dump()


@pytest.mark.parametrize("graph", GRAPHS)
def test_both_save_and_open_again_unchanged(foxes: Path, graph: Any) -> None:
    by_calls = build_graph(graph(foxes))
    for created in (by_calls, load_script(to_script(graph(foxes)))):
        assert load_script(save(created)).dump() == by_calls.dump()


@pytest.mark.parametrize("graph", [open_graph, node_graph])
def test_what_the_calls_made_renders_the_comp(foxes: Path, graph: Any) -> None:
    nodes = read(save(build_graph(graph(foxes)))).nodes
    last = next(one for one in reversed(nodes) if one.cls in ("Group", "Merge2"))
    top = next((one for one in nodes if one.name == "Merge_fg_02"), last)
    image = Evaluator(1003).render(top)
    assert image is not None
    wanted = numpy_over(manifest.read(foxes), foxes, 1003)
    assert np.abs(image.rgba() - wanted).max() <= 1e-6


@pytest.mark.parametrize("graph", [open_graph, node_graph])
def test_nothing_is_run_and_the_project_is_left_alone(foxes: Path, graph: Any) -> None:
    nuke = build_graph(graph(foxes))
    assert nuke.executed == []
    assert not any(cls == "Root" for cls, _ in nuke.changed_knobs)


def test_a_read_that_does_not_take_its_color_space_is_raw_and_says_so(foxes: Path) -> None:
    nuke = FakeNuke(spaces=("scene_linear", "ACES - ACEScg"))
    build(nuke, open_comp(manifest.read(foxes), foxes, ReadColorspace("linear")))
    read_bg = nuke.dump()["Read_bg"]["knobs"]
    assert read_bg["raw"] is True
    assert read_bg["label"].startswith("raw: ")


def test_names_that_are_taken_do_not_cross_the_links(foxes: Path) -> None:
    nuke = FakeNuke()
    build(nuke, open_graph(foxes))
    build(nuke, open_graph(foxes))
    graph = nuke.dump()
    assert graph["Merge_fg_1"]["inputs"] == ["Merge_shadow_1", "Dot_fg_1"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (Node("Merge3", "M"), RuntimeError),
        (Node("Merge2", "M", {"operator": "over"}), NameError),
        (Node("Merge2", "M", {"operation": "Over"}), ValueError),
        (Node("Merge2", "M", {"mix": "1"}), TypeError),
        (Node("Copy", "C", {"to0": "fg_09.red"}), ValueError),
        (Node("Dot", "not a name"), ValueError),
    ],
)
def test_the_fake_refuses_what_nuke_does_not_have(wrong: Node, error: Any) -> None:
    with pytest.raises(error):
        build(FakeNuke(), Graph((wrong,)))


def test_the_fake_refuses_other_threads_and_dead_handles() -> None:
    nuke, seen = FakeNuke(), []

    def work() -> None:
        with pytest.raises(Forbidden) as refused:
            nuke.nodes.Dot()
        seen.append(refused.value)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    dot = nuke.nodes.Dot()
    nuke.undo()
    with pytest.raises(Forbidden):
        dot.name()
    assert len(seen) == 1


def test_the_fake_sees_code_in_labels_and_paths() -> None:
    nuke = FakeNuke()
    nuke.nodes.Dot()["label"].setValue("[python 1]")
    assert nuke.executed == ["Dot.label: [python 1]"]


def test_the_fake_s_facts_are_the_collected_ones(shared_dir: Path) -> None:
    import json

    from fakes.fake_nuke.rules import FACTS

    collected = json.loads((shared_dir / "facts" / "nuke_knobs.json").read_text())
    for cls, known in FACTS["classes"].items():
        for name, fact in known["knobs"].items():
            theirs = collected["classes"][cls]["knobs"][name]
            assert {key: theirs.get(key) for key in fact} == fact
    assert collected["flags"] == FACTS["flags"]


@pytest.mark.parametrize("graph", [open_converted_graph, converted_node_graph])
def test_a_space_that_is_not_offered_is_converted_in_the_graph(foxes: Path, graph: Any) -> None:
    """The comp in ACEScg is the matrix of the comp in P3, since both over and matrix are linear."""
    nodes = read(save(build_graph(graph(foxes)))).nodes
    last = next(one for one in reversed(nodes) if one.cls in ("Group", "Merge2"))
    image = Evaluator(1003).render(next((n for n in nodes if n.name == "Merge_fg_02"), last))
    assert image is not None
    comp = numpy_over(manifest.read(foxes), foxes, 1003)
    config = ocio.Config.CreateFromBuiltinConfig("studio-config-v4.0.0_aces-v2.0_ocio-v2.5")
    convert = config.getProcessor("lin_p3d65_scene", "lin_ap1_scene")
    wanted = np.ascontiguousarray(comp[..., :3], np.float32)
    convert.getDefaultCPUProcessor().apply(ocio.PackedImageDesc(wanted, *wanted.shape[1::-1], 3))
    assert np.abs(image.rgba()[..., :3] - wanted).max() <= 2e-5
    assert np.abs(image.rgba()[..., 3] - comp[..., 3]).max() <= 1e-6
    assert np.abs(wanted - comp[..., :3]).max() > 0.01
