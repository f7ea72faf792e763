from __future__ import annotations

import cv2
import numpy as np
import pytest

from layert2v_engine.decompose.motion import find_camera_motion

SIZE = (160, 96)
ALL = np.ones(SIZE[::-1], bool)


def look(path: np.ndarray, sigma: float = 4.0, seed: int = 0) -> np.ndarray:
    """Return what a camera sees of a wall along a path, with grain."""
    rng = np.random.default_rng(1)
    noise = cv2.GaussianBlur(rng.random((200, 300), np.float32), (0, 0), 1.5)
    wall = cv2.normalize(noise, np.zeros_like(noise), 40, 200, cv2.NORM_MINMAX)
    seen = cv2.warpPerspective(wall, path, SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    grain = np.random.default_rng(seed).normal(0, sigma, seen.shape)
    return np.clip(seen + grain, 0, 255).astype(np.uint8)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


@pytest.mark.parametrize("sigma", [0.0, 4.0, 10.0])
def test_a_camera_that_stands_does_not_move_by_grain(sigma: float) -> None:
    first, second = (look(shift(60, 40), sigma, seed) for seed in (1, 2))

    assert (find_camera_motion(first, second, ALL) == np.eye(3)).all()


@pytest.mark.parametrize(
    "path", [shift(3.4, -1.2), np.array([[1.02, 0.01, -2], [-0.01, 1.02, 1], [0, 0, 1.0]])]
)
def test_a_camera_that_moves_is_followed(path: np.ndarray) -> None:
    first, second = look(shift(60, 40), 2.0, 1), look(shift(60, 40) @ np.linalg.inv(path), 2.0, 2)

    found = find_camera_motion(first, second, ALL)

    corners = np.array([[[0, 0]], [[159, 0]], [[0, 95]], [[159, 95]]], np.float32)
    ends = [cv2.perspectiveTransform(corners, each) for each in (found, path)]
    assert np.abs(ends[0] - ends[1]).max() < 0.7


def test_where_no_background_is_seen_nothing_moves() -> None:
    first, second = look(shift(60, 40)), look(shift(64, 40))

    assert (find_camera_motion(first, second, ~ALL) == np.eye(3)).all()
