"""Each gate sees the fault that it is for, and a good sample passes all of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fakes.disc_sample import good_sample
from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.vidlayer import faults
from layert2v_engine.vidlayer.measures import measure_sample
from layert2v_engine.vidlayer.readers.sample import LayeredSample, SampleLayer
from layert2v_engine.vidlayer.thresholds import Thresholds

Plant = Callable[[LayeredSample, random.Random, LayeredSample], LayeredSample | None]


def lose_subject(sample: LayeredSample, rng: random.Random, other: LayeredSample) -> LayeredSample:
    matte = sample.foregrounds[0].matte.clone()
    matte[3] = 0
    return replace(sample, foregrounds=(replace(sample.foregrounds[0], matte=matte),))


def move_matte(sample: LayeredSample, rng: random.Random, other: LayeredSample) -> LayeredSample:
    matte = sample.foregrounds[0].matte.flip(0).roll(-8, 2)
    return replace(sample, foregrounds=(replace(sample.foregrounds[0], matte=matte),))


EXPECTED = {
    faults.plant_hole: "hole",
    faults.leave_subject_behind: "subject_left_behind",
    faults.shift_color: "color_shift",
    faults.flicker: "background_flicker",
    faults.swap_layers: "background_differs",
    faults.cut_inside: "cut_inside",
    move_matte: "layers_do_not_add_up",
    lose_subject: "subject_lost",
}


def reasons_of(sample: LayeredSample) -> list[str]:
    found = Thresholds.load().reasons("inspect", measure_sample(sample))
    return [reason.partition(":")[0] for reason in found]


def test_a_good_sample_passes() -> None:
    assert reasons_of(good_sample()) == []


@pytest.mark.parametrize(
    ("plant", "reason"), EXPECTED.items(), ids=[plant.__name__ for plant in EXPECTED]
)
def test_a_fault_is_rejected_for_its_reason(plant: Plant, reason: str) -> None:
    other = replace(good_sample(3), full=1 - good_sample(3).full)

    planted = plant(good_sample(), random.Random(2), other)

    assert planted is not None
    assert reason in reasons_of(planted)


def test_nothing_changes_in_a_single_frame() -> None:
    good = good_sample()
    layer = good.foregrounds[0]
    assert layer.shadow is not None
    still = SampleLayer(color=layer.color[:1], matte=layer.matte[:1], shadow=layer.shadow[:1])
    one = replace(good, full=good.full[:1], background=good.background[:1], foregrounds=(still,))

    assert faults.cut_inside(one, random.Random(0), good) is None
    assert faults.flicker(one, random.Random(0), good) is None
    assert measure_sample(one)["background_flicker"] == 0


def test_light_belongs_to_the_layers() -> None:
    good = good_sample()
    light = torch.zeros_like(good.full)
    light[:, :, 50:, :40] = 0.6
    brighter = encode_srgb((decode_srgb(good.full) + decode_srgb(light)).clamp(0, 1))
    layer = replace(good.foregrounds[0], light=light)

    assert reasons_of(replace(good, full=brighter, foregrounds=(layer,))) == []
    assert "layers_do_not_add_up" in reasons_of(replace(good, full=brighter))
