from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from fakes.sample_stacks import disc, gradient
from layert2v_engine.image.compositing import (
    HALF_MAX,
    flatten,
    over,
    premultiply,
    shadow_to_linear,
    to_half,
    to_half_rgba,
    unpremultiply,
)

UNHURRIED = settings(deadline=None, max_examples=50)
PIXELS = nps.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=16))


def rgba(rgb: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    return premultiply(torch.cat((rgb, alpha[None])).movedim(0, -1))


@UNHURRIED
@given(PIXELS)
def test_over_nothing_is_the_layer_itself(pixels: np.ndarray) -> None:
    top = torch.from_numpy(pixels)
    assert torch.equal(over(top, torch.zeros_like(top)), top)


@UNHURRIED
@given(PIXELS, PIXELS)
def test_an_opaque_layer_hides_what_is_below(top: np.ndarray, bottom: np.ndarray) -> None:
    opaque = torch.from_numpy(top)
    opaque[:, 3] = 1.0
    assert torch.equal(over(opaque, torch.from_numpy(bottom)), opaque)


@UNHURRIED
@given(PIXELS, PIXELS, PIXELS)
def test_over_may_be_grouped_either_way(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    top, middle, bottom = (torch.from_numpy(pixels) for pixels in (a, b, c))
    torch.testing.assert_close(over(top, over(middle, bottom)), over(over(top, middle), bottom))


@UNHURRIED
@given(nps.arrays(np.float16, (3, 2, 4), elements=st.floats(0, 1, width=16)))
def test_flatten_equals_numpy_to_the_bit(layers: np.ndarray) -> None:
    pixels = layers[0].astype(np.float32)
    for layer in layers[1:].astype(np.float32):
        pixels = layer + pixels * (1 - layer[:, 3:])
    result = flatten(torch.from_numpy(layer) for layer in layers)
    assert np.array_equal(result.numpy(), pixels.astype(np.float16))


def test_a_comp_needs_a_layer() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        flatten([])


def test_premultiplying_comes_back_above_the_floor() -> None:
    straight = torch.rand(50, 4) * 0.9 + 0.1
    torch.testing.assert_close(unpremultiply(premultiply(straight)), straight)


def test_unpremultiply_keeps_nearly_empty_pixels_dark() -> None:
    noise = torch.tensor([1e-4, 1e-4, 1e-4, 1e-6])
    assert float(unpremultiply(noise)[:3].max()) < 0.06


def test_color_without_alpha_is_light_and_is_kept_by_over() -> None:
    flame = torch.tensor([0.5, 0.2, 0.0, 0.0])
    bottom = torch.tensor([0.1, 0.1, 0.1, 1.0])
    torch.testing.assert_close(over(flame, bottom), torch.tensor([0.6, 0.3, 0.1, 1.0]))


def test_shadow_made_for_display_recomposes_in_linear_light() -> None:
    """Facts: error 0.05 when the opacity is used unchanged, 0.004 with the power of 2.2."""
    plate, opacity = gradient()[0] * 0.8 + 0.2, 0.6 * disc()
    expected = (plate * (1 - opacity)).pow(2.2)
    linear = plate.pow(2.2)
    right = (linear * (1 - shadow_to_linear(opacity)) - expected).abs().max()
    naive = (linear * (1 - opacity) - expected).abs().max()
    assert right < 1e-6
    assert naive > 0.05


def test_shadow_opacity_is_clamped() -> None:
    assert shadow_to_linear(torch.tensor([-0.1, 0.0, 1.0, 1.2])).tolist() == [0, 0, 1, 1]


def test_half_has_no_infinity_and_no_nan() -> None:
    result = to_half(torch.tensor([70000.0, -70000.0, 65519.9, float("inf"), float("nan")]))
    assert result.dtype == torch.float16
    assert result.tolist() == [HALF_MAX, -HALF_MAX, HALF_MAX, HALF_MAX, 0.0]


def test_premultiplying_before_linearising_is_wrong_at_soft_edges() -> None:
    """Facts: a third of the value on average. The writer's order is tested with the writer."""
    alpha, code = torch.full((4,), 0.5), torch.tensor([0.2, 0.5, 0.8, 1.0])
    right, wrong = code.pow(2.2) * alpha, (code * alpha).pow(2.2)
    assert float(((right - wrong) / right).min()) > 0.5


@pytest.mark.parametrize(("height", "width"), [(3, 5), (700, 211), (2, 70000)])
def test_half_rgba_is_premultiplied_light_in_bands(height: int, width: int) -> None:
    rgb, alpha = torch.rand(3, height, width), torch.rand(height, width)
    expected = to_half(rgba(rgb**2, alpha))
    assert torch.equal(to_half_rgba(rgb, alpha, lambda band: band**2), expected)
    assert torch.equal(to_half_rgba(rgb**2, alpha), expected)


def test_half_rgba_has_no_infinity_and_no_nan() -> None:
    rgb = torch.tensor([[[7e4, float("nan")]], [[-7e4, float("inf")]], [[12.0, 0.5]]])
    pixels = to_half_rgba(rgb, torch.ones(1, 2))
    assert pixels.tolist() == [[[HALF_MAX, -HALF_MAX, 12.0, 1.0], [0.0, HALF_MAX, 0.5, 1.0]]]
