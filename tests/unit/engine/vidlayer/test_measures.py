"""Each gate sees the fault that it is for, and a good sample passes all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor

from fakes.disc_sample import good_sample
from layert2v_engine.vidlayer.measures import measure_sample
from layert2v_engine.vidlayer.readers.sample import LayeredSample
from layert2v_engine.vidlayer.thresholds import Thresholds


def with_matte(sample: LayeredSample, matte: Tensor) -> LayeredSample:
    return replace(sample, foregrounds=(replace(sample.foregrounds[0], matte=matte),))


def hole(sample: LayeredSample) -> LayeredSample:
    matte = sample.foregrounds[0].matte.clone()
    for frame in matte:
        ys, xs = (frame[0] > 0.9).nonzero(as_tuple=True)
        y, x = int(ys.float().mean()), int(xs.float().mean())
        frame[0, y - 3 : y + 3, x - 3 : x + 3] = 0
    return with_matte(sample, matte)


def left_behind(sample: LayeredSample) -> LayeredSample:
    return replace(sample, background=sample.full)


def shifted_color(sample: LayeredSample) -> LayeredSample:
    return replace(sample, background=(sample.background * 0.85 + 0.05))


def flicker(sample: LayeredSample) -> LayeredSample:
    background = sample.background.clone()
    background[::2] += 0.04
    return replace(sample, background=background.clamp(0, 1))


def swap_layers(sample: LayeredSample) -> LayeredSample:
    layer = replace(sample.foregrounds[0], color=sample.background)
    return replace(sample, background=sample.foregrounds[0].color, foregrounds=(layer,))


def cut_inside(sample: LayeredSample) -> LayeredSample:
    full = sample.full.clone()
    full[4:] = 1 - full[4:].roll(31, -1)
    return replace(sample, full=full)


def matte_of_another(sample: LayeredSample) -> LayeredSample:
    return with_matte(sample, sample.foregrounds[0].matte.flip(0).roll(-8, 2))


def lost_subject(sample: LayeredSample) -> LayeredSample:
    matte = sample.foregrounds[0].matte.clone()
    matte[3] = 0
    return with_matte(sample, matte)


FAULTS = {
    hole: "hole",
    left_behind: "subject_left_behind",
    shifted_color: "background_differs",
    flicker: "background_flicker",
    swap_layers: "background_differs",
    cut_inside: "cut_inside",
    matte_of_another: "layers_do_not_add_up",
    lost_subject: "subject_lost",
}


def reasons_of(sample: LayeredSample) -> list[str]:
    found = Thresholds.load().reasons("inspect", measure_sample(sample))
    return [reason.partition(":")[0] for reason in found]


def test_a_good_sample_passes() -> None:
    assert reasons_of(good_sample()) == []


@pytest.mark.parametrize(
    ("fault", "reason"), FAULTS.items(), ids=[fault.__name__ for fault in FAULTS]
)
def test_a_fault_is_rejected_for_its_reason(fault, reason: str) -> None:  # type: ignore[no-untyped-def]
    assert reason in reasons_of(fault(good_sample()))
