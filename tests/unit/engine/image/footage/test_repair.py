"""NaN and infinities are repaired locally."""

from __future__ import annotations

import torch

from layert2v_engine.image.footage.repair import repair_non_finite


def test_a_pixel_takes_the_mean_of_its_neighbors() -> None:
    planes = torch.full((3, 5, 5), 0.5)
    planes[:, 0] = 12.0
    planes[0, 1, 1] = torch.nan
    planes[2, 4, 4] = torch.inf
    repaired, count = repair_non_finite(planes.clone())
    assert count == 2
    assert float(repaired[0, 1, 1]) == (3 * 12.0 + 5 * 0.5) / 8
    assert float(repaired[2, 4, 4]) == 0.5
    untouched = torch.isfinite(planes)
    assert torch.equal(repaired[untouched], planes[untouched])


def test_a_hole_is_filled_from_its_border() -> None:
    planes = torch.full((1, 9, 9), 2.0)
    planes[0, 2:7, 2:7] = torch.nan
    repaired, count = repair_non_finite(planes)
    assert count == 25
    assert torch.equal(repaired, torch.full((1, 9, 9), 2.0))


def test_the_largest_numbers_have_a_mean() -> None:
    planes = torch.full((1, 3, 3), torch.finfo(torch.float32).max)
    planes[0, 1, 1] = torch.nan
    repaired, count = repair_non_finite(planes)
    assert count == 1
    assert repaired.dtype == torch.float32
    assert torch.equal(repaired, torch.full((1, 3, 3), torch.finfo(torch.float32).max))


def test_a_plane_without_a_number_becomes_black() -> None:
    repaired, count = repair_non_finite(torch.full((1, 3, 3), torch.nan))
    assert (count, float(repaired.abs().max())) == (9, 0.0)


def test_good_planes_are_not_copied() -> None:
    planes = torch.ones(3, 2, 2)
    assert repair_non_finite(planes)[0] is planes
