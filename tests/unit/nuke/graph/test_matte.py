"""The matte group of a foreground of footage, in the open nodes and by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.saved import load, save
from fakes.nk_evaluate import Evaluator, Image
from fakes.nk_reader import Node, Script, Word, read
from fakes.nk_stacks import Rgba, numpy_over, read_frame
from layert2v import stack as manifest
from layert2v.stack import Stack
from layert2v_nuke.graph.build import build
from layert2v_nuke.graph.matte import matte_name
from layert2v_nuke.graph.model import ReadColorspace
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.graph.script import to_script

COLORSPACE = ReadColorspace("linear")


def footage_stack(folder: Path) -> Stack:
    """Return the stack as if it had been made of footage."""
    stack = manifest.read(folder)
    return replace(stack, history=(replace(stack.history[0], action="decompose"),))


def script(folder: Path) -> Script:
    return read(to_script(open_comp(footage_stack(folder), folder, COLORSPACE)))


def render(node: Node, frame: int = 1002) -> Image:
    image = Evaluator(frame).render(node)
    assert image is not None
    return image


def refined_matte(folder: Path, **knobs: str) -> Rgba:
    """Return what the matte group of the first foreground shows."""
    group = script(folder).find(matte_name("fg_01"))
    group.knobs.update({name: Word(text, "bare") for name, text in knobs.items()})
    return render(group).rgba()


def test_only_foregrounds_of_footage_have_a_matte_group(foxes: Path) -> None:
    groups = [one.name for one in script(foxes).nodes if one.cls == "Group"]
    assert groups == ["Matte_fg_01", "Matte_fg_02"]
    generated = open_comp(manifest.read(foxes), foxes, COLORSPACE)
    assert not any(one.cls == "Group" for one in generated.nodes)


def test_untouched_it_passes_the_layer_through(foxes: Path) -> None:
    stack = footage_stack(foxes)
    assert np.array_equal(refined_matte(foxes), read_frame(stack, foxes, "fg_01", 1002))
    comp = render(script(foxes).nodes[-1]).rgba()
    assert np.abs(comp - numpy_over(stack, foxes, 1002)).max() <= 1e-6


@pytest.mark.parametrize(
    ("knobs", "shrinks"),
    [({"erode": "2"}, True), ({"erode": "-2"}, False), ({"blackpoint": "0.3"}, True)],
)
def test_erode_and_blackpoint_move_the_edge(
    foxes: Path, knobs: dict[str, str], shrinks: bool
) -> None:
    before, after = refined_matte(foxes)[..., 3], refined_matte(foxes, **knobs)[..., 3]
    assert (after <= before).all() == shrinks
    assert (after >= before).all() != shrinks


def test_blur_softens_the_edge_and_keeps_its_weight(foxes: Path) -> None:
    before, after = refined_matte(foxes)[..., 3], refined_matte(foxes, blur="2")[..., 3]
    assert np.abs(np.diff(after)).max() < np.abs(np.diff(before)).max()
    assert after.sum() == pytest.approx(before.sum(), rel=0.05)


def test_the_edge_keeps_its_color(foxes: Path) -> None:
    before, after = refined_matte(foxes), refined_matte(foxes, erode="1", gamma="0.7")
    inside = (after[..., 3] > 0.05) & (before[..., 3] > 0.05)
    assert inside.any()
    straight = [pixels[inside, :3] / pixels[inside, 3:] for pixels in (before, after)]
    np.testing.assert_allclose(straight[0], straight[1], rtol=1e-5)


def test_calls_and_script_make_the_same_groups_which_save_and_open(foxes: Path) -> None:
    graph = open_comp(footage_stack(foxes), foxes, COLORSPACE)
    by_calls, by_script, reopened = FakeNuke(), FakeNuke(), FakeNuke()
    build(by_calls, graph)
    load(by_script, to_script(graph))
    load(reopened, save(by_calls))
    assert by_calls.dump() == by_script.dump() == reopened.dump()
    assert by_calls.executed == []
