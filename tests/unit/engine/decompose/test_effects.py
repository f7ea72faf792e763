"""Which bright places beside a subject are its light."""

from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.effects import find_light

SHAPE = (120, 200)
PLATE = np.full((*SHAPE, 3), 0.2, np.float32)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
SUBJECT = np.hypot(ROWS - 60, COLUMNS - 60) < 25
NOWHERE = np.zeros(SHAPE, bool)


@pytest.mark.parametrize("strength", [0.1, 0.6])
def test_light_that_falls_off_beside_a_subject_is_its_own(strength: float) -> None:
    glow = strength * np.exp(-np.maximum(np.hypot(ROWS - 60, COLUMNS - 60) - 25, 0) / 15)
    found = find_light(PLATE + glow[..., None], PLATE, SUBJECT, NOWHERE)
    assert found[60, 90] > 0.99
    assert found[5, 190] == 0


@pytest.mark.parametrize("radius", [12, 25])
def test_a_bright_subject_beside_it_is_none(radius: int) -> None:
    neighbor = np.hypot(ROWS - 60, COLUMNS - 88 - radius) < radius
    source = np.where(neighbor[..., None], np.float32([0.9, 0.7, 0.2]), PLATE)
    assert find_light(source, PLATE, SUBJECT, NOWHERE).max() == 0


def test_nothing_is_found_where_the_plate_says_nothing() -> None:
    source = PLATE + 0.3 * np.exp(-np.hypot(ROWS - 60, COLUMNS - 90) / 20)[..., None]
    assert find_light(source, PLATE, SUBJECT, NOWHERE).max() == 1
    assert find_light(source, PLATE, SUBJECT, ~NOWHERE).max() == 0
