"""A checkpoint of four roles, as LayerT2V's authors train it: no layers of cast shadows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.tiny_model import INFO, write_tiny_model
from layert2v.rerender import RerenderSpec
from layert2v.spec import NO_SHADOWS, GenerateSpec
from layert2v.stack import Stack
from layert2v_engine.engine import Engine
from layert2v_engine.errors import InvalidSpec
from layert2v_engine.stack.inspect import inspect

BARE = replace(
    INFO, name="bare", title="Bare", max_foregrounds=2, abilities=(*INFO.abilities, NO_SHADOWS)
)
PROMPT = "a red car driving through a forest at night"

Rerender = Callable[..., Stack]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder, contrast=8.0)
    return Engine(write_tiny_model(folder, BARE, contrast=8.0))


@pytest.fixture(scope="module")
def stacks(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacks")
    for model in ("bare", "mini"):
        spec = GenerateSpec(prompt=PROMPT, model=model, seed=3)
        engine.generate(spec, folder / model, report=lambda _: None, cancelled=lambda: False)
    return folder


@pytest.fixture
def rerender(engine: Engine, stacks: Path, tmp_path: Path) -> Rerender:
    def run(model: str, spec: RerenderSpec) -> Stack:
        folder = tmp_path / model
        if not folder.exists():
            shutil.copytree(stacks / model, folder)
        spec = replace(spec, model="bare", seed=5)
        stack = engine.rerender(
            spec, folder, inputs={}, report=lambda _: None, cancelled=lambda: False
        )
        assert not inspect(folder, stack).problems
        return stack

    return run


def test_a_stack_has_no_shadow_layers(stacks: Path, engine: Engine, tmp_path: Path) -> None:
    spec = GenerateSpec(prompt=PROMPT, model="bare", seed=3, foreground_prompts=("a car", "a fox"))
    out = tmp_path / "two"
    stack = engine.generate(spec, out, report=lambda _: None, cancelled=lambda: False)
    assert [layer.name for layer in stack.layers] == ["bg", "fg_01", "fg_02"]
    assert not inspect(out, stack).problems


@pytest.mark.parametrize("layer", ["bg", "fg_01", "ref"])
def test_a_layer_is_generated_again(rerender: Rerender, layer: str) -> None:
    stack = rerender("bare", RerenderSpec(action="regenerate", layers=(layer,)))
    versions = {each.name: each.version for each in stack.layers}
    assert versions == {"bg": 1, "fg_01": 1} | ({} if layer == "ref" else {layer: 2})


def test_a_new_foreground_comes_without_a_shadow(rerender: Rerender) -> None:
    spec = RerenderSpec(action="add", layers=("fg_02",), prompts={"fg_02": "a fox running"})
    assert [layer.name for layer in rerender("bare", spec).layers] == ["bg", "fg_01", "fg_02"]


def test_the_background_below_a_shadow_of_another_model_is_generated(rerender: Rerender) -> None:
    stack = rerender("mini", RerenderSpec(action="regenerate", layers=("bg",)))
    assert [layer.version for layer in stack.layers] == [2, 1, 1]
    assert "not seen by the model: shadow_01" in stack.history[-1].note


def test_a_shadow_of_another_model_is_frozen_or_refused(rerender: Rerender) -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_01",))
    with pytest.raises(InvalidSpec, match="Bare makes no shadows; freeze shadow_01"):
        rerender("mini", spec)
    stack = rerender("mini", replace(spec, frozen=("shadow_01",)))
    assert [layer.version for layer in stack.layers] == [1, 1, 2]
