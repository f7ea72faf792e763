from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.colors import cut_by_colors, cut_in_box
from layert2v_engine.decompose.subjects.regions import overlap


def test_a_rough_mask_is_cut_along_the_colors() -> None:
    picture, truth = _red_on_green()
    rough = np.roll(truth, (2, -2), (0, 1)).astype(np.float32)

    cut = cut_by_colors(picture, rough)

    assert overlap(rough > 0.5, truth) < 0.9
    assert overlap(cut > 0.5, truth) > 0.95


def test_what_is_sure_stays() -> None:
    picture, truth = _red_on_green()
    outside = np.zeros_like(truth)
    outside[:, :45] = True

    cut = cut_by_colors(picture, truth.astype(np.float32), outside=outside)

    assert not (cut[:, :43] > 0.5).any()
    assert (cut[30:60, 50:70] > 0.5).all()


def test_an_empty_mask_stays_empty() -> None:
    picture, truth = _red_on_green()
    assert not cut_by_colors(picture, np.zeros(truth.shape, np.float32)).any()


def test_a_box_alone_is_cut_along_the_colors() -> None:
    picture, truth = _red_on_green()
    truth[25:40, 40:60] = False  # not all of the box
    picture[25:40, 40:60] = picture[:15, :20]

    assert overlap(cut_in_box(picture, Box(40, 25, 80, 65)) > 0.5, truth) > 0.9


def test_a_box_around_everything_tells_nothing() -> None:
    picture, _ = _red_on_green()
    assert not cut_in_box(picture, Box(0, 0, 120, 90)).any()


def _red_on_green() -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 30, (90, 120, 3))
    truth = np.zeros((90, 120), bool)
    truth[25:65, 40:80] = True
    color = np.where(truth[..., None], (180, 40, 40), (40, 150, 60))
    return (color + noise).astype(np.uint8), truth
