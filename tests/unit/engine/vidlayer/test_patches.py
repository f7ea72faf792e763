from __future__ import annotations

import cv2
import numpy as np
import pytest

from layert2v_engine.vidlayer.patches import (
    enclosed_holes,
    ghost_correlation,
    lost_texture,
    open_hole_share,
    worst_patch_psnr,
    worst_patch_shift,
)

SHAPE = (3, 96, 128)
EVERYWHERE = np.ones(SHAPE, bool)


def noise(seed: int, scale: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, (*SHAPE, 3)).astype(np.float32)


def test_one_bad_patch_counts_however_large_the_picture_is() -> None:
    difference = noise(0, 0.005)
    good = worst_patch_psnr(difference, EVERYWHERE)
    difference[1, 40:52, 60:72] = 0.2

    assert good > 43
    assert worst_patch_psnr(difference, EVERYWHERE) == pytest.approx(14, abs=0.5)


def test_what_does_not_count_is_not_looked_at() -> None:
    difference, where = noise(1, 0.005), EVERYWHERE.copy()
    difference[:, :, :40], where[:, :, :40] = 0.5, False

    assert worst_patch_psnr(difference, where) > 43
    assert worst_patch_psnr(difference, ~EVERYWHERE) == 99


def test_a_tint_adds_up_where_noise_does_not() -> None:
    tinted = noise(2, 0.03)
    plain = worst_patch_shift(tinted, EVERYWHERE)
    tinted[..., 2] += 0.03

    assert plain < 0.01
    assert worst_patch_shift(tinted, EVERYWHERE) == pytest.approx(0.03, abs=0.01)


def test_a_smear_behind_the_subject_loses_texture() -> None:
    background = np.clip(0.5 + noise(3, 0.1), 0, 1)
    cover = np.zeros(SHAPE, np.float32)
    cover[:, 30:66, 40:80] = 1
    smeared = np.stack([cv2.GaussianBlur(each, (0, 0), 6) for each in background])
    smeared = np.where(cover[..., None] > 0, smeared, background).astype(np.float32)

    assert abs(lost_texture(background, cover)) < 0.1
    assert lost_texture(smeared, cover) > 0.8


def test_a_flat_wall_has_no_texture_to_lose() -> None:
    cover = np.zeros(SHAPE, np.float32)
    cover[:, 30:66, 40:80] = 1

    assert lost_texture(np.full((*SHAPE, 3), 0.4, np.float32), cover) < 0.1


def test_a_hole_is_open_where_the_layers_do_not_add_up() -> None:
    matte, error = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    matte[:, 20:70, 30:90] = 1
    matte[:, 40:50, 50:60] = 0  # a handle
    body, holes = enclosed_holes(matte[0])

    assert (body.sum(), holes.sum()) == (2900, 100)
    assert open_hole_share([matte], error) == 0
    error[2, 40:50, 50:60] = 0.2
    assert open_hole_share([matte], error) == pytest.approx(100 / 3000)


def test_a_faint_ghost_counts_and_another_texture_does_not() -> None:
    full, background = (np.clip(0.5 + noise(seed, 0.1), 0, 1) for seed in (4, 5))
    cover = np.zeros(SHAPE, np.float32)
    cover[:, 30:66, 40:80] = 1
    ghost = 0.5 + 0.3 * (full - 0.5)

    assert abs(ghost_correlation(full, background, cover)) < 0.1
    assert ghost_correlation(full, ghost.astype(np.float32), cover) > 0.95
