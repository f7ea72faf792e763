from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from layert2v.decompose import RECIPES as REQUESTED
from layert2v_engine.cli.main import main
from layert2v_engine.errors import OutOfMemory, RecipeUnknown, WeightsMissing
from layert2v_engine.recipes.catalog import FOOTAGE, RECIPES, find_recipe
from layert2v_engine.recipes.memory import SHAPES, count_parameters, recipe_cost
from layert2v_engine.recipes.preflight import check_recipe
from layert2v_engine.weights.folder import WeightsFolder

GIB = 1 << 30
CPU = torch.device("cpu")


def test_requests_know_the_recipes_that_begin_with_footage() -> None:
    assert tuple(r.name for r in RECIPES.values() if r.starts_from == FOOTAGE) == REQUESTED


def test_every_network_of_a_recipe_is_in_the_ledger() -> None:
    weights = WeightsFolder(Path("nowhere"))
    for recipe in RECIPES.values():
        for name in (*recipe.networks, *recipe.for_words):
            assert weights.ledger.find(name)


def test_transformers_have_the_size_that_they_were_published_with() -> None:
    billions = {name: count_parameters(name) / 1e9 for name in SHAPES}
    assert billions["wan2.1-t2v-1.3b"] == pytest.approx(1.42, abs=0.02)
    assert billions["wan2.1-t2v-14b"] == pytest.approx(14.29, abs=0.05)
    assert billions["wan2.1-vace-1.3b"] == pytest.approx(2.15, abs=0.05)


def test_480p_fits_24_gib_as_computed() -> None:
    for recipe in RECIPES.values():
        if recipe.transformer:
            cost = recipe_cost(recipe, reads_text=True)
            assert cost.peak < 24 * GIB, recipe.name


def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path) -> None:
    recipe = find_recipe("decompose+")
    with pytest.raises(WeightsMissing, match=r"needs Segment Anything 2.1, video: ") as caught:
        check_recipe(recipe, WeightsFolder(tmp_path), CPU, with_words=False)
    assert "5 networks are missing in all" in caught.value.message
    with pytest.raises(RecipeUnknown, match="no recipe called 'magic'"):
        find_recipe("magic")


def test_a_device_that_is_too_small_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = find_recipe("decompose+")
    weights = WeightsFolder(tmp_path)
    monkeypatch.setattr("layert2v_engine.recipes.preflight.RecipeState.missing", ())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * GIB, 6 * GIB))
    with pytest.raises(OutOfMemory, match=r"takes \d+\.\d GiB of the device, where 4.0 are free"):
        check_recipe(recipe, weights, torch.device("cuda"), with_words=False)


def test_the_list_says_what_each_recipe_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes", "--weights", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "decompose: layers of footage by the product's own small networks" in said
    assert "computed, not measured: 832 x 480 x 81 frames at once take" in said
    assert main(["recipes", "decompose+rose", "--weights", str(tmp_path), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["recipes"]
    assert {"name": "rose", "commercial": "ask"}.items() <= next(
        each for each in row["networks"] if each["name"] == "rose"
    ).items()
    assert main(["recipes", "decompose", "--weights", str(tmp_path)]) == 0
    assert "grounding-dino      missing  Apache-2.0, commercial: yes, only for subjects" in said
