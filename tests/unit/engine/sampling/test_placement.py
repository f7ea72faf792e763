"""Regions for foregrounds: what is drawn, and which noise is moved."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fakes.tiny_model import write_tiny_model
from layert2v.placement import Placement
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling.placement import draw_region, placement_shift
from layert2v_engine.sampling_request import SamplingRequest

BOX = Placement(1, "box", 0.25, 0.5, 0.5, 0.25)


def test_a_box_covers_its_pixels_alone() -> None:
    region = draw_region(BOX, 8, 16)
    assert region[4:6, 4:12].eq(1).all()
    assert region.sum() == 16


def test_an_ellipse_lies_in_its_box_and_covers_most_of_it() -> None:
    box = draw_region(BOX, 200, 200)
    ellipse = draw_region(replace(BOX, shape="ellipse"), 200, 200)
    assert (ellipse[box == 0] < 0.5).all()  # its edge is soft
    assert float(ellipse.sum() / box.sum()) == pytest.approx(3.1416 / 4, abs=0.02)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LayeredPipeline:
    return LayeredPipeline.from_pretrained(write_tiny_model(tmp_path_factory.mktemp("m")) / "mini")


def test_only_the_noise_of_the_matte_moves_and_only_inside(pipeline: LayeredPipeline) -> None:
    half = Placement(1, "box", 0, 0, 0.5, 1)
    spec = resolve(GenerateSpec("a fox in a forest", placements=(half,)), pipeline.info, 1)
    plan = pipeline.plan(spec)
    layout = pipeline.layout(1)
    request = SamplingRequest.from_spec(spec, plan, layout)
    moved = placement_shift(request, pipeline.latent_shape(request), pipeline.encode)
    assert [name for name, row in zip(layout.names, moved[0], strict=True) if row.any()] == [
        "matte_01"
    ]
    columns = moved[0, layout.index("matte_01")].abs().amax((0, 1, 2))
    assert columns[: len(columns) // 2].min() > 0
    assert columns[-1] < 0.5 * columns[0]


def test_strength_0_and_no_region_are_the_same_run(pipeline: LayeredPipeline) -> None:
    plain = resolve(GenerateSpec("a fox in a forest", steps=1), pipeline.info, 1)
    plan = pipeline.plan(plain)
    without = pipeline.sample(plain, plan)
    weak = replace(plain, placements=(replace(BOX, strength=0.0),))
    assert torch.equal(pipeline.sample(weak, plan), without)
    strong = replace(plain, placements=(replace(BOX, strength=2.0),))
    assert not torch.equal(pipeline.sample(strong, plan), without)


def test_a_model_without_that_foreground_draws_as_it_does(pipeline: LayeredPipeline) -> None:
    spec = resolve(GenerateSpec("a fox in a forest", steps=1), pipeline.info, 1)
    plan = pipeline.plan(spec)
    other = replace(spec, placements=(replace(BOX, foreground=2),))
    assert torch.equal(pipeline.sample(other, plan), pipeline.sample(spec, plan))
