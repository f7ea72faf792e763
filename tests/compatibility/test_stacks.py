"""Stacks that v0.1 wrote: every state opens, and the next one is drawn from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open

from fakes.recorded import check_states, content, copy_of, run
from layert2v import stack as manifest
from layert2v.stack import Stack
from layert2v_engine.pipeline import find_model


@pytest.fixture
def elephant(tmp_path: Path) -> Path:
    """Return a stack whose actor was drawn again and whose background is a plate."""
    return copy_of("stack", tmp_path)


@pytest.fixture
def fox(tmp_path: Path) -> Path:
    """Manifest schema 1: one state, one file of latents, no folder of states."""
    return copy_of("stack_schema_1", tmp_path)


@pytest.fixture
def model_of_its_size(elephant: Path, tmp_path: Path) -> tuple[str, ...]:
    """Return options that name the shipped model as the one that made the stack.

    That had 224 x 160 pixels and the latents of today's.
    """
    models = tmp_path / "models"
    shutil.copytree(find_model("mini"), models / "old")
    stack, index = manifest.read(elephant), models / "old" / "model_index.json"
    settings = json.loads(index.read_text())
    info = settings["layert2v"]["info"]
    with safe_open(elephant / "latents" / "fg_01_v002.safetensors", "pt") as latents:
        info["name"], info["digest"] = "old", latents.metadata()["model_digest"]
    info["width_range"], info["height_range"] = [stack.width] * 2, [stack.height] * 2
    info["default_width"], info["default_height"] = stack.width, stack.height
    index.write_text(json.dumps(settings))
    return ("--model", "old", "--models", str(models))


def versions(stack: Stack) -> dict[str, int]:
    return {sequence.name: sequence.version for sequence in stack.sequences()}


def history_rows(folder: Path) -> list[list[str]]:
    """Return number and action of each state, as ``layert2v history`` tells them."""
    return [line.split()[:2] for line in run("layert2v", "history", folder).splitlines()]


def test_every_state_opens(elephant: Path) -> None:
    check_states(elephant, 3)
    assert "no problems" in run("layert2v-engine", "inspect", elephant)
    assert history_rows(elephant) == [
        ["v001", "generate"],
        ["v002", "regenerate"],
        ["v003", "replace"],
    ]
    made, drawn, swapped = (manifest.read_state(elephant, number) for number in (1, 2, 3))
    one = {"bg": 1, "shadow_01": 1, "fg_01": 1, "comp": 1, "ref": 1}
    two = {**one, "shadow_01": 2, "fg_01": 2, "comp": 2, "ref": 2}
    assert [versions(made), versions(drawn)] == [one, two]
    assert versions(swapped) == {**two, "bg": 2, "comp": 3, "ref": 3}
    assert [layer.source for layer in swapped.layers] == ["plate", "generated", "generated"]
    assert swapped.layer("fg_01").prompt == "a bear walking"
    assert (made.prompt, made.seed) == ("an elephant walking on a beach at night", 7)
    assert all(made.latents_of(name) for name in ("bg", "shadow_01", "fg_01", "ref"))


def test_an_earlier_state_is_opened_again(elephant: Path) -> None:
    before = content(elephant)
    run("layert2v", "open", elephant, "--at", "v001")
    check_states(elephant, 4)
    first, newest = manifest.read_state(elephant, 1), manifest.read(elephant)
    assert (newest.layers, newest.flats, newest.latents) == (
        first.layers, first.flats, first.latents,
    )  # fmt: skip
    after = content(elephant)
    assert {path for path in before if after[path] != before[path]} == {"stack.json"}


@pytest.mark.slow
def test_a_layer_is_drawn_again_from_its_latents(
    elephant: Path, model_of_its_size: tuple[str, ...]
) -> None:
    before = content(elephant)
    words = ("--layer", "fg_01", "--strength", "0.8", "--seed", "5", "--steps", "3")
    run("layert2v-engine", "rerender", elephant, *words, *model_of_its_size)
    check_states(elephant, 4)
    newest = manifest.read(elephant)
    assert versions(newest) == {"bg": 2, "shadow_01": 3, "fg_01": 3, "comp": 4, "ref": 4}
    assert "encoded from pixels" not in newest.history[-1].note
    after = content(elephant)
    assert {path for path in before if after[path] != before[path]} == {"stack.json"}
    assert "no problems" in run("layert2v-engine", "inspect", elephant)


def test_schema_1_is_read_as_the_schema_of_today(fox: Path) -> None:
    before = content(fox)
    stack = manifest.read(fox)
    assert json.loads((fox / "stack.json").read_text())["schema_version"] == 1
    assert (stack.state, stack.latents, stack.history[0].parent) == (1, (), 0)
    assert versions(stack) == {"bg": 1, "shadow_01": 1, "fg_01": 1, "comp": 1, "ref": 1}
    assert json.loads(manifest.dumps(stack))["schema_version"] == manifest.SCHEMA_VERSION
    assert "no problems" in run("layert2v-engine", "inspect", fox)
    assert history_rows(fox) == [["v001", "generate"]]
    assert content(fox) == before


def test_schema_1_goes_on_and_keeps_its_first_state(fox: Path) -> None:
    before = content(fox)
    run("layert2v-engine", "rerender", fox, "--remove", "fg_01")
    run("layert2v", "open", fox, "--at", "v001")
    check_states(fox, 3)
    assert history_rows(fox) == [["v001", "generate"], ["v002", "remove"], ["v003", "open"]]
    assert versions(manifest.read_state(fox, 2)) == {"bg": 1, "comp": 2, "ref": 1}
    assert manifest.read(fox).layers == manifest.read_state(fox, 1).layers
    after = content(fox)
    assert {path for path in before if after[path] != before[path]} == {"stack.json"}
