"""The sRGB curve, in torch and in numpy."""

from __future__ import annotations

import numpy as np
import torch

from layert2v_engine.image.srgb import (
    decode_srgb,
    decode_srgb_array,
    encode_srgb,
    encode_srgb_array,
)


def test_the_srgb_curve_returns() -> None:
    x = torch.linspace(0, 1, 256)
    assert torch.allclose(encode_srgb(decode_srgb(x)), x, atol=1e-6)


def test_torch_and_numpy_agree() -> None:
    x = torch.linspace(0, 1, 256)
    assert np.allclose(decode_srgb_array(x.numpy()), decode_srgb(x).numpy(), atol=1e-6)
    assert np.allclose(encode_srgb_array(x.numpy()), encode_srgb(x).numpy(), atol=1e-6)
    assert decode_srgb_array(x.numpy()).dtype == np.float32


def test_the_curve_has_the_values_of_its_standard() -> None:
    middle = torch.tensor([0.0, 0.04045, 0.5, 1.0])
    expected = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0])
    assert torch.allclose(decode_srgb(middle), expected, atol=1e-6)
