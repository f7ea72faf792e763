"""New prompts of layers name subjects that the model knows, unless the nearest is allowed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.tiny_model import write_tiny_model
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import Stack, read
from layert2v_engine.engine import Engine
from layert2v_engine.errors import InvalidSpec


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(write_tiny_model(tmp_path_factory.mktemp("models"), contrast=8.0))


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Path:
    spec = GenerateSpec(prompt="a red car in a forest at night", frames=1, steps=1, seed=3)
    engine.generate(spec, tmp_path / "s", report=lambda _: None, cancelled=lambda: False)
    return tmp_path / "s"


def rerender(engine: Engine, spec: RerenderSpec, folder: Path) -> Stack:
    return engine.rerender(spec, folder, inputs={}, report=lambda _: None, cancelled=lambda: False)


@pytest.mark.parametrize(
    "spec",
    [
        RerenderSpec("regenerate", ("fg_01",), prompts={"fg_01": "a castle"}, steps=1),
        RerenderSpec("add", ("fg_02",), prompts={"fg_02": "a castle"}, steps=1),
    ],
)
def test_an_unknown_subject_is_refused_and_the_nearest_shown_on_request(
    engine: Engine, stack: Path, spec: RerenderSpec
) -> None:
    with pytest.raises(InvalidSpec, match="knows no subject") as caught:
        rerender(engine, spec, stack)
    assert [each.field for each in caught.value.violations] == [f"prompts[{spec.layers[0]}]"]
    assert read(stack).state == 1
    changed = rerender(engine, replace(spec, nearest=True), stack)
    assert changed.state == 2
    assert any("knows" in warning for warning in changed.warnings)
