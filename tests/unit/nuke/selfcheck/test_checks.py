"""The self-check and its list: held against the collected facts and run on the rendering fake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.rules import knob_fact
from fakes.nk_render import add_renderer
from layert2v import stack as manifest
from layert2v_nuke.graph import node
from layert2v_nuke.graph.build import build
from layert2v_nuke.graph.model import Node, ReadColorspace
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.selfcheck import checks, nuke_api


def failed_checks(report: dict[str, Any]) -> list[str]:
    return [check["what"] for check in report["checks"] if not check["right"]]


def rendering_nuke() -> FakeNuke:
    nuke = add_renderer(FakeNuke(gui=False))
    nuke.set_project(format=(16, 9, 1.0))
    return nuke


def test_every_check_holds_on_the_fake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuke = rendering_nuke()
    assert checks.main(nuke, [str(tmp_path / "report.json")]) == 0, capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["checks"]) > 150
    assert nuke.dump() == {}
    assert not nuke.modified


def test_the_self_check_sees_another_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nuke_api.KNOBS["Merge2"], "bbox", ("A", ("union", "C")))
    assert failed_checks(checks.run(rendering_nuke())) == [
        "Merge2.bbox default",
        "Merge2.bbox offers C",
    ]


def test_the_self_check_sees_a_wrong_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TOLERANCE", -1.0)
    found = failed_checks(checks.run(rendering_nuke()))
    assert found[0] == "open nodes render the comp"
    assert len(found) == 8


def test_the_list_agrees_with_the_facts() -> None:
    for cls, knobs in nuke_api.KNOBS.items():
        for name, (default, items) in knobs.items():
            fact = knob_fact(cls, name)
            assert fact is not None, f"{cls}.{name}"
            assert default is None or fact["default"] == default, f"{cls}.{name}"
            assert set(items) <= set(fact.get("enum", items))


def knobs_of(one: Node) -> set[tuple[str, str]]:
    inner = set().union(*(knobs_of(child) for child in one.nodes)) if one.nodes else set()
    return {(one.cls, name) for name in one.knobs} | inner


def test_no_graph_uses_more_than_the_list(foxes: Path) -> None:
    stack = manifest.read(foxes)
    for graph in (
        open_comp(stack, foxes, ReadColorspace("linear", "why")),
        node.node_graph(stack, foxes, ReadColorspace()),
        open_comp(stack, foxes, ReadColorspace("", "why", ((1.0, 0.0, 0.0),) * 3)),
    ):
        named = set().union(*(knobs_of(one) for one in graph.nodes))
        assert named <= {(cls, name) for cls, knobs in nuke_api.KNOBS.items() for name in knobs}
        nuke = FakeNuke()
        build(nuke, graph)
        kinds = {knob.kind for one in graph.nodes for knob in one.user_knobs}
        assert kinds <= set(nuke_api.CONSTRUCTORS)
