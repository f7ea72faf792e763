"""Gaits: feet on the ground stay there."""

from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.world.subjects import anatomy, species
from layert2v_engine.world.text.vocabulary import ABILITIES, SPRITE_INDICES, SUBJECTS

GAITS = [
    (i, action)
    for i, word in enumerate(SUBJECTS[: SPRITE_INDICES.start])
    if word.name != "car"
    for action in ABILITIES[i]
]


@pytest.mark.parametrize(
    ("subject", "action"), GAITS, ids=[f"{SUBJECTS[i].name}-{a}" for i, a in GAITS]
)
def test_feet_on_the_ground_stay_on_it(subject: int, action: str) -> None:
    """Whatever rests from one pose to the next goes back by just the ground that is covered."""
    build_body = species.build_body(subject, action, 0, np.random.default_rng(0))
    low = build_body.end[..., 1] - build_body.radius[:, 1] < 0.012
    resting = low & low.roll(-1, 0)
    slide = (build_body.end.roll(-1, 0) - build_body.end)[
        ..., 0
    ] + build_body.advance / anatomy.PHASES
    assert int(resting.any(1).sum()) >= 5
    assert slide[resting].abs().max() < 0.02
