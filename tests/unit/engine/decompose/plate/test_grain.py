from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.arrays import decode, encode
from layert2v_engine.decompose.plate.grain import add_grain, measure_grain

HOLE = np.zeros((120, 160), bool)
HOLE[30:90, 40:120] = True


@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_a_hole_has_the_grain_around_it(sigma: float) -> None:
    plate = np.full((*HOLE.shape, 3), 0.3, np.float32)
    noise = np.random.default_rng(0).normal(0, sigma, plate.shape).astype(np.float32)
    source = decode(encode(plate) + noise)

    grained = add_grain(plate, measure_grain(plate, source, HOLE), HOLE, seed=1)

    inside = encode(grained)[HOLE].std()
    assert inside == pytest.approx(sigma, rel=0.15)
    assert (grained[~HOLE] == plate[~HOLE]).all()


def test_clean_footage_stays_clean() -> None:
    plate = np.full((*HOLE.shape, 3), 0.3, np.float32)

    sigma = measure_grain(plate, plate.copy(), HOLE)

    assert add_grain(plate, sigma, HOLE, seed=1) is plate


def test_a_plate_that_does_not_match_is_no_grain() -> None:
    generator = np.random.default_rng(0)
    plate, source = generator.random((2, *HOLE.shape, 3), np.float32)

    assert (measure_grain(plate, source, HOLE) == 0).all()


def test_a_plate_with_grain_of_its_own_lacks_only_the_rest() -> None:
    rng = np.random.default_rng(5)
    wall, nowhere = np.full((160, 160, 3), 0.4, np.float32), np.zeros((160, 160), bool)

    def add_noise(sigma: float) -> np.ndarray:
        return decode((wall + sigma * rng.standard_normal(wall.shape)).astype(np.float32))

    source, clean = add_noise(4 / 255), decode(wall)
    alike = measure_grain(add_noise(4 / 255), source, nowhere, is_grained=True)
    lacking = measure_grain(clean, source, nowhere, is_grained=True)
    assert alike.max() < 1.5 / 255
    assert lacking.min() > 2.5 / 255
