from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.plate.fill import PatchFiller, SmoothFiller

SIZE = 64


@pytest.mark.parametrize("filler", [PatchFiller(), SmoothFiller()])
def test_only_the_hole_changes(filler: PatchFiller | SmoothFiller) -> None:
    picture, hole = _stripes()

    filled = filler.fill(np.where(hole[..., None], np.float32(0), picture), hole)

    np.testing.assert_allclose(filled[~hole], picture[~hole], atol=1e-6)


def test_patches_continue_a_texture() -> None:
    picture, hole = _stripes()
    holed = np.where(hole[..., None], np.float32(0), picture)

    errors = [np.abs(each.fill(holed, hole) - picture)[hole].mean() for each in FILLERS]

    assert errors[0] < 0.5 * errors[1]


def test_a_picture_that_is_all_hole_is_filled() -> None:
    filled = PatchFiller().fill(np.zeros((SIZE, SIZE, 3), np.float32), np.ones((SIZE, SIZE), bool))

    assert np.isfinite(filled).all()


FILLERS = (PatchFiller(), SmoothFiller())


def _stripes() -> tuple[np.ndarray, np.ndarray]:
    wave = 0.5 + 0.4 * np.sign(np.sin(np.arange(SIZE) * np.pi / 4 + 0.1))
    picture = np.repeat(np.repeat(wave[None, :, None], SIZE, 0), 3, -1).astype(np.float32)
    hole = np.zeros((SIZE, SIZE), bool)
    hole[24:40, 24:40] = True
    return picture, hole
