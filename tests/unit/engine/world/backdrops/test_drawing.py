"""What the world is drawn with: bodies, plates, cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from layert2v_engine.world import camera as shots
from layert2v_engine.world.backdrops import places
from layert2v_engine.world.subjects import anatomy, species, tracer
from layert2v_engine.world.text.vocabulary import ABILITIES, PLACES, SPRITE_INDICES, SUBJECTS, V0

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
    body = species.body(subject, action, 0, np.random.default_rng(0))
    low = body.end[..., 1] - body.radius[:, 1] < 0.012
    resting = low & low.roll(-1, 0)
    slide = (body.end.roll(-1, 0) - body.end)[..., 0] + body.advance / anatomy.PHASES
    assert int(resting.any(1).sum()) >= 5
    assert slide[resting].abs().max() < 0.02


def test_planes_of_one_depth_move_together() -> None:
    """A point of the land and a figure standing on it are seen at the same place in every frame."""
    width, height = 64, 48
    for camera in ("still", "follow", "push"):
        view = shots.shot(camera, frames=9, speed=1.5, width=width, height=height)
        plate = torch.zeros(1, height, width * 2)
        plate[0, 40, 70] = 1
        offset, zoom = view.seen(shots.LAND)
        corner = width - width / 2 / zoom + offset
        top = shots.HORIZON * height * (1 - 1 / zoom)
        extent = (width * 2, height)
        seen = shots.sample(plate, corner, top, 1 / zoom, (width, height), extent=extent)
        x, y = view.place(torch.full((9,), 70.5 - width / 2), 40.5)
        weight = seen[:, 0] / seen[:, 0].sum((1, 2), keepdim=True)
        at_x = (weight.sum(1) * (torch.arange(width) + 0.5)).sum(1)
        at_y = (weight.sum(2) * (torch.arange(height) + 0.5)).sum(1)
        assert torch.allclose(at_x, x, atol=0.15)
        assert torch.allclose(at_y, y, atol=0.15)


def test_the_distance_moves_less_than_the_land() -> None:
    view = shots.shot("push", frames=5, speed=2.0, width=64, height=48)
    (near, large), (far, small) = view.seen(shots.LAND), view.seen(shots.DISTANCE)
    assert (far.abs() <= near.abs()).all()
    assert (small <= large).all()
    assert far[-1] < 0.5 * near[-1]


@pytest.mark.parametrize("place", range(len(PLACES)), ids=lambda i: PLACES[i].name)
def test_plates_are_bright_by_day_and_dark_at_night(place: int) -> None:
    day, night = (
        places.plate(place, t, width=28, height=20, rng=np.random.default_rng(1)).pixels
        for t in (0, 2)
    )
    land = slice(3, 6)
    assert day[..., land].mean() > 1.5 * night[..., land].mean()
    assert (day[-1, :, 6] == 255).all()


def test_plates_of_one_seed_are_equal() -> None:
    first, again = (
        places.plate(2, 1, width=28, height=20, rng=np.random.default_rng(4)).pixels
        for _ in range(2)
    )
    assert np.array_equal(first, again)
    assert first.shape == (20, round(28 * places.OVERSCAN), 7)
    assert len(V0.places) == 6


def test_a_ball_is_drawn_as_a_disc_of_its_size() -> None:
    sculpt = anatomy.Sculpt()
    sculpt.ball(anatomy.at(0, 1, 0), 0.5, (200, 100, 50))
    view = tracer.View(width=40, height=40, centre=20, ground=30, scale=20, yaw=0)
    alpha = tracer.render(sculpt.body(1.0), 0, view, (0.3, 1, 0.2))[3]
    assert float(alpha.sum()) == pytest.approx(np.pi * 10**2, rel=0.06)
