"""What the world is drawn with: bodies, plates, cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from layert2v_engine.world import camera
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
    build_body = species.build_body(subject, action, 0, np.random.default_rng(0))
    low = build_body.end[..., 1] - build_body.radius[:, 1] < 0.012
    resting = low & low.roll(-1, 0)
    slide = (build_body.end.roll(-1, 0) - build_body.end)[
        ..., 0
    ] + build_body.advance / anatomy.PHASES
    assert int(resting.any(1).sum()) >= 5
    assert slide[resting].abs().max() < 0.02


def test_planes_of_one_depth_move_together() -> None:
    """A point of the land and a subject on it are seen at the same place in every frame."""
    width, height = 64, 48
    for kind in ("still", "follow", "push"):
        view = camera.camera_path(kind, frames=9, speed=1.5, width=width, height=height)
        paint_plate = torch.zeros(1, height, width * 2)
        paint_plate[0, 40, 70] = 1
        offset, zoom = view.at_depth(camera.LAND)
        corner = width - width / 2 / zoom + offset
        top = camera.HORIZON * height * (1 - 1 / zoom)
        extent = (width * 2, height)
        at_depth = camera.sample_windows(
            paint_plate, corner, top, 1 / zoom, (width, height), extent=extent
        )
        x, y = view.project(torch.full((9,), 70.5 - width / 2), 40.5)
        weight = at_depth[:, 0] / at_depth[:, 0].sum((1, 2), keepdim=True)
        at_x = (weight.sum(1) * (torch.arange(width) + 0.5)).sum(1)
        at_y = (weight.sum(2) * (torch.arange(height) + 0.5)).sum(1)
        assert torch.allclose(at_x, x, atol=0.15)
        assert torch.allclose(at_y, y, atol=0.15)


def test_the_distance_moves_less_than_the_land() -> None:
    view = camera.camera_path("push", frames=5, speed=2.0, width=64, height=48)
    (near, large), (far, small) = (
        view.at_depth(camera.LAND),
        view.at_depth(camera.DISTANCE),
    )
    assert (far.abs() <= near.abs()).all()
    assert (small <= large).all()
    assert far[-1] < 0.5 * near[-1]


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


def test_a_ball_is_drawn_as_a_disc_of_its_size() -> None:
    builder = anatomy.BodyBuilder()
    builder.ball(anatomy.point(0, 1, 0), 0.5, (200, 100, 50))
    view = tracer.View(width=40, height=40, centre=20, ground=30, scale=20, yaw=0)
    alpha = tracer.render(builder.body(1.0), 0, view, (0.3, 1, 0.2))[3]
    assert float(alpha.sum()) == pytest.approx(np.pi * 10**2, rel=0.06)
