"""Plates: light of the time of day, repeatability."""

from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.world.backdrops import places
from layert2v_engine.world.text.vocabulary import PLACES, V0


@pytest.mark.parametrize("place", range(len(PLACES)), ids=lambda i: PLACES[i].name)
def test_plates_are_bright_by_day_and_dark_at_night(place: int) -> None:
    day, night = (
        places.paint_plate(place, t, width=28, height=20, rng=np.random.default_rng(1)).pixels
        for t in (0, 2)
    )
    land = slice(3, 6)
    assert day[..., land].mean() > 1.5 * night[..., land].mean()
    assert (day[-1, :, 6] == 255).all()


def test_plates_of_one_seed_are_equal() -> None:
    first, again = (
        places.paint_plate(2, 1, width=28, height=20, rng=np.random.default_rng(4)).pixels
        for _ in range(2)
    )
    assert np.array_equal(first, again)
    assert first.shape == (20, round(28 * places.OVERSCAN), 7)
    assert len(V0.places) == 6
