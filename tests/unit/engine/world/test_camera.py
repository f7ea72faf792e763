"""Cameras: planes of one depth move together."""

from __future__ import annotations

import torch

from layert2v_engine.world import camera


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
