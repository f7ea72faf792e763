from __future__ import annotations

import pytest
import torch

from layert2v_engine.metrics.matting import matte_errors


def disc(radius: float, centre: float = 16.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    return (radius - ((y - 16) ** 2 + (x - centre) ** 2).sqrt() + 0.5).clamp(0, 1)[None, None]


def test_a_perfect_matte_has_no_error() -> None:
    assert matte_errors(disc(8), disc(8)) == {"sad": 0, "mse": 0, "gradient": 0, "connectivity": 0}


def test_sad_counts_pixels_in_thousands() -> None:
    assert matte_errors(torch.zeros(1, 1, 32, 32), disc(8))["sad"] == pytest.approx(
        float(disc(8).sum()) / 1000
    )


def test_a_loose_island_costs_connectivity() -> None:
    island = (disc(8) + 0.8 * disc(2, centre=29.0)).clamp(0, 1)
    assert matte_errors(island, disc(8))["connectivity"] > 0.005


def test_a_blurred_edge_costs_gradient() -> None:
    soft = torch.nn.functional.avg_pool2d(disc(8), 7, stride=1, padding=3)
    assert matte_errors(soft, disc(8))["gradient"] > 0.001
