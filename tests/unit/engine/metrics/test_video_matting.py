from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from layert2v_engine.metrics.video_matting import video_matting_errors


def mattes(seed: int) -> Tensor:
    noise = torch.rand(4, 40, 56, generator=torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.avg_pool2d(noise[:, None], 9, 1, 4)[:, 0]
    return ((wide - 0.5) * 8 + 0.5).clamp(0, 1)


def test_a_perfect_matte_has_no_error() -> None:
    assert set(video_matting_errors(mattes(1), mattes(1)).values()) == {0.0}


def test_means_are_in_thousandths() -> None:
    errors = video_matting_errors(torch.full((2, 8, 8), 0.25), torch.zeros(2, 8, 8))
    assert errors["MAD"] == pytest.approx(250)
    assert errors["MSE"] == pytest.approx(62.5)
    assert errors["SAD"] == pytest.approx(0.016)
    assert errors["dtSSD"] == 0


def test_flicker_alone_is_dtssd() -> None:
    matte = torch.zeros(3, 8, 8)
    matte[1] = 0.5
    assert video_matting_errors(matte, torch.zeros(3, 8, 8))["dtSSD"] == pytest.approx(100 / 3)


def test_gradient_is_that_of_two_dimensional_filters() -> None:
    """The definition written out: one 9 x 9 filter of unit energy in each direction, by OpenCV."""
    y, x = np.mgrid[-4:5, -4:5].astype(float)
    gauss = np.exp(-(x**2 + y**2) / (2 * 1.4**2))
    kernel = -x * gauss / np.linalg.norm(x * gauss)

    def gradient(plane: np.ndarray) -> np.ndarray:
        scaled = (plane - plane.min()) / (plane.max() - plane.min())
        sides = [cv2.filter2D(scaled, -1, k, borderType=cv2.BORDER_REPLICATE)
                 for k in (kernel, kernel.T)]  # fmt: skip
        return np.sqrt(sides[0] ** 2 + sides[1] ** 2)

    a, b = mattes(2).numpy(), mattes(3).numpy()
    expected = np.mean(
        [((gradient(p) - gradient(q)) ** 2).sum() / 1000 for p, q in zip(a, b, strict=True)]
    )
    errors = video_matting_errors(torch.from_numpy(a), torch.from_numpy(b))
    assert errors["Grad"] == pytest.approx(expected, rel=1e-4)


def test_connectivity_is_that_of_opencvs_components() -> None:
    a, b = mattes(4).numpy(), mattes(5).numpy()
    expected = np.mean([connectivity(p, q) for p, q in zip(a, b, strict=True)])
    errors = video_matting_errors(torch.from_numpy(a), torch.from_numpy(b))
    assert errors["Conn"] == pytest.approx(expected, rel=1e-3)


def connectivity(matte: np.ndarray, target: np.ndarray) -> float:
    """Written from the definition: each pixel's level at which it left the largest common body."""
    joined = np.zeros(matte.shape, bool)
    level, is_open = np.ones_like(matte), np.ones(matte.shape, bool)
    for k in range(1, 11):
        both = ((matte >= k / 10) & (target >= k / 10)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        joined[:] = False
        if count > 1:
            joined = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        level[is_open & ~joined] = (k - 1) / 10
        is_open &= joined
    far = [np.where(x - level >= 0.15, x - level, 0) for x in (matte, target)]
    return float(np.abs(far[0] - far[1]).sum()) / 1000
