"""Matrices, curves and powers as steps on tensors, where they meet their limits."""

from __future__ import annotations

import math

import PyOpenColorIO as ocio
import pytest
import torch

from fakes.footage import srgb_to_linear
from layert2v_engine.image.color_steps import Step, compile_processor

SRGB = {"gamma": [2.4, 2.4, 2.4, 1.0], "offset": [0.055, 0.055, 0.055, 0.0]}


def curve(*, inverse: bool = False, negatives: ocio.NegativeStyle = ocio.NEGATIVE_LINEAR) -> Step:
    transform = ocio.ExponentWithLinearTransform(**SRGB)
    transform.setNegativeStyle(negatives)
    return only_step(transform, inverse)


def only_step(transform: ocio.Transform, inverse: bool = False) -> Step:
    if inverse:
        transform.setDirection(ocio.TRANSFORM_DIR_INVERSE)
    steps = compile_processor(ocio.Config.CreateRaw().getProcessor(transform))
    assert steps is not None
    (step,) = steps
    return step


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).expand(3, -1)


def test_the_curve_is_that_of_the_standard() -> None:
    """But for the slope of the toe, which the standard rounds to 12.92 and OCIO computes."""
    codes = torch.linspace(0, 1, 4097).expand(3, -1)
    expected = torch.from_numpy(srgb_to_linear(codes.numpy())).float()
    torch.testing.assert_close(curve()(codes), expected, rtol=3e-4, atol=0)
    torch.testing.assert_close(curve(inverse=True)(expected), codes, rtol=3e-4, atol=0)


@pytest.mark.parametrize("inverse", [False, True])
def test_black_white_and_what_lies_outside(inverse: bool) -> None:
    result = curve(inverse=inverse)(row(0.0, 1.0, -0.01, -8.0, math.inf, -math.inf, math.nan))[0]
    slope = 12.92 if inverse else 1 / 12.92
    assert (result[0], result[1].half()) == (0.0, 1.0)
    assert not math.copysign(1.0, float(result[0])) < 0
    assert result[2:4].tolist() == pytest.approx([-0.01 * slope, -8 * slope], rel=3e-3)
    assert result[4:6].tolist() == [math.inf, -math.inf]
    assert math.isnan(result[6])


@pytest.mark.parametrize("inverse", [False, True])
def test_a_mirrored_curve_is_odd(inverse: bool) -> None:
    step = curve(inverse=inverse, negatives=ocio.NEGATIVE_MIRROR)
    values = torch.linspace(0, 4, 300).expand(3, -1)
    assert torch.equal(step(-values), -step(values))


@pytest.mark.parametrize(
    ("negatives", "below", "lost"),
    [
        (ocio.NEGATIVE_CLAMP, 0.0, 0.0),
        (ocio.NEGATIVE_MIRROR, -(0.5**2.2), -math.inf),
        (ocio.NEGATIVE_PASS_THRU, -0.5, -math.inf),
    ],
)
def test_powers_of_negative_numbers(
    negatives: ocio.NegativeStyle, below: float, lost: float
) -> None:
    transform = ocio.ExponentTransform([2.2, 2.2, 2.2, 1.0])
    transform.setNegativeStyle(negatives)
    result = only_step(transform)(row(0.5, -0.5, -math.inf, math.nan))[0]
    assert result[:3].tolist() == pytest.approx([0.5**2.2, below, lost], rel=1e-5)
    assert math.isnan(result[3])


def test_views_with_gaps_are_the_same() -> None:
    pixels = torch.rand(2, 50, 3).movedim(-1, -2)
    assert not pixels.is_contiguous()
    torch.testing.assert_close(curve()(pixels), curve()(pixels.contiguous()), rtol=5e-6, atol=1e-8)


@pytest.mark.parametrize("inverse", [False, True])
def test_the_input_stays(inverse: bool) -> None:
    values = torch.rand(3, 9)
    before = values.clone()
    curve(inverse=inverse)(values)
    assert torch.equal(values, before)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_matrix_with_an_offset_is_that_of_ocio(inverse: bool) -> None:
    rows = [0.9, 0.2, 0.0, 0.0, 0.1, 0.7, 0.1, 0.0, 0.0, 0.3, 0.8, 0.0, 0.0, 0.0, 0.0, 1.0]
    transform = ocio.MatrixTransform(matrix=rows, offset=[0.1, -0.2, 0.05, 0.0])
    pixels = torch.linspace(-0.5, 4, 60).reshape(3, 20)
    step = only_step(transform, inverse)
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    expected = [processor.applyRGB(pixels[:, k].tolist()) for k in range(20)]
    torch.testing.assert_close(step(pixels).T, torch.tensor(expected), rtol=1e-5, atol=1e-5)
