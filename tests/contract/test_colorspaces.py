"""How far spaces are apart, against OpenColorIO's own conversions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import PyOpenColorIO as ocio
import pytest

from layert2v.colorspaces import PRIMARIES, color_difference, conversion_matrix, find_nearest

XYZ = "CIE XYZ-D65 - Scene-referred"
COLORS = np.array(list(product((0.02, 0.18, 0.9), repeat=3)), np.float32)


def lab(space: str) -> np.ndarray:
    """Return CIE L*a*b* of ``COLORS`` in ``space``, by OpenColorIO and numpy."""
    config = ocio.Config.CreateFromBuiltinConfig("studio-config-v4.0.0_aces-v2.0_ocio-v2.5")
    colors = np.vstack((COLORS, np.ones((1, 3), np.float32)))
    config.getProcessor(space, XYZ).getDefaultCPUProcessor().applyRGB(colors)
    ratio = colors[:-1] / colors[-1]
    linear = ratio / (3 * (6 / 29) ** 2) + 4 / 29
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), linear).T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), -1)


@pytest.mark.parametrize("space", ["lin_rec709_scene", "lin_p3d65_scene", "lin_rec2020_scene"])
@pytest.mark.parametrize("taken_as", ["lin_rec709_scene", "lin_p3d65_scene", "lin_rec2020_scene"])
def test_the_difference_is_that_of_opencolorio(space: str, taken_as: str) -> None:
    expected = np.linalg.norm(lab(space) - lab(taken_as), axis=-1).max()
    assert color_difference(space, taken_as) == pytest.approx(expected, abs=0.1)


def test_the_nearest_space_is_another_one_that_is_offered() -> None:
    nearest = find_nearest("lin_p3d65_scene", PRIMARIES)
    assert nearest is not None
    assert nearest.space == "lin_rec709_scene"
    assert nearest.delta_e > 10  # P3 shown as Rec.709 is plainly visible
    assert find_nearest("lin_p3d65_scene", ["lin_p3d65_scene", "sRGB"]) is None
    assert find_nearest("my space", PRIMARIES) is None


@pytest.mark.parametrize(("space", "target"), [*permutations(PRIMARIES, 2)])
def test_the_matrix_is_that_of_opencolorio(space: str, target: str) -> None:
    config = ocio.Config.CreateFromBuiltinConfig("studio-config-v4.0.0_aces-v2.0_ocio-v2.5")
    convert = config.getProcessor(space, target).getDefaultCPUProcessor()
    columns = [convert.applyRGB([float(k == axis) for k in range(3)]) for axis in range(3)]
    np.testing.assert_allclose(
        conversion_matrix(space, target), np.transpose(columns), rtol=0, atol=2e-5
    )
