"""Where subjects usually are, and how that moves noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fakes.tiny_model import write_tiny_model
from layert2v.placement import Placement
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.layout import Figure
from layert2v_engine.model.layout_prior import FILE, LayoutPrior
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling.placement import placement_shift
from layert2v_engine.sampling_request import SamplingRequest

FOX = Figure("fox", "right", "middle")


def wedge() -> Tensor:
    """Return bytes [12, 20] of a body in the middle whose high side is on the right."""
    matte = torch.zeros(12, 20, dtype=torch.uint8)
    for column in range(6, 14):
        matte[10 - (column - 5) :, column] = 255
    return matte


@pytest.fixture
def prior() -> LayoutPrior:
    middles = {1: torch.tensor([0.3, 0.5, 0.7]), 2: torch.tensor([0.25, 0.5, 0.75])}
    return LayoutPrior({(1, "fox"): wedge(), (2, "fox"): wedge()}, middles)


def middle(matte: Tensor) -> float:
    columns = matte.sum(0)
    places = (torch.arange(len(columns)) + 0.5) / len(columns)
    return float((columns * places).sum() / columns.sum())


def test_a_subject_is_at_its_spot_and_faces_where_it_heads(prior: LayoutPrior) -> None:
    mattes = {
        (spot, heading): prior.matte(Figure("fox", heading, spot), 1, 48, 80)
        for spot in ("left", "right")
        for heading in ("left", "right")
    }
    there = {key: middle(matte) for key, matte in mattes.items() if matte is not None}
    # A body that is high on one side has its weight there.
    assert there["left", "left"] < 0.3 < there["left", "right"] < 0.4
    assert 0.6 < there["right", "left"] < 0.7 < there["right", "right"]
    assert {tuple(matte.shape) for matte in mattes.values() if matte is not None} == {(48, 80)}


@pytest.mark.parametrize(
    "figure", [Figure("bear", "right", "left"), FOX._replace(heading=""), FOX._replace(spot="")]
)
def test_what_is_not_known_is_nowhere(prior: LayoutPrior, figure: Figure) -> None:
    assert prior.matte(figure, 1, 48, 80) is None


def test_an_outline_fills_what_it_is_given_and_stands_on_its_ground(prior: LayoutPrior) -> None:
    outline = prior.outline(FOX, 1, 40, 100)
    assert outline is not None
    assert outline.shape == (40, 100)
    assert outline[-1].max() > 0.9
    assert outline[:2].amax() > 0.5
    assert outline[:, :20].max() == 0 == outline[:, -20:].max()


def test_a_file_holds_all_of_it(prior: LayoutPrior, tmp_path: Path) -> None:
    assert LayoutPrior.load(tmp_path) is None
    prior.save(tmp_path / FILE)
    again = LayoutPrior.load(tmp_path)
    assert again is not None
    assert again.subjects == {"fox"}
    first, second = (each.matte(FOX, 2, 24, 40) for each in (prior, again))
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LayeredPipeline:
    return LayeredPipeline.from_pretrained(write_tiny_model(tmp_path_factory.mktemp("m")) / "mini")


def shift_of(pipeline: LayeredPipeline, prior: LayoutPrior, *placements: Placement) -> Tensor:
    spec = resolve(GenerateSpec("a fox in a forest", placements=placements), pipeline.info, 1)
    plan = replace(pipeline.plan(spec), figures=(FOX,))
    request = SamplingRequest.from_spec(spec, plan, pipeline.layout(1))
    return placement_shift(request, pipeline.latent_shape(request), pipeline.encode, prior)


def test_noise_is_moved_without_a_word_of_the_artist(
    pipeline: LayeredPipeline, prior: LayoutPrior
) -> None:
    usual = shift_of(pipeline, prior)
    names = pipeline.layout(1).names
    assert [n for n, row in zip(names, usual[0], strict=True) if row.any()] == ["matte_01"]
    columns = usual[0, names.index("matte_01")].abs().sum((0, 1, 2))
    assert columns[0] < columns[len(columns) // 2] > columns[-1]
    off = Placement(1, "box", 0, 0, 0.2, 1, strength=0.0)
    assert torch.equal(shift_of(pipeline, prior, off), usual)


def test_what_the_artist_says_goes_first(pipeline: LayeredPipeline, prior: LayoutPrior) -> None:
    corner = Placement(1, "ellipse", -0.1, 0.4, 0.5, 0.5)
    moved = shift_of(pipeline, prior, corner)[0, pipeline.layout(1).index("matte_01")]
    columns = moved.abs().sum((0, 1, 2))
    assert columns[0] > 2 * columns[-1]
