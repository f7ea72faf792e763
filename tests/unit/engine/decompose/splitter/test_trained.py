"""The shipped weights, on a clip unlike all that they were trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fakes.moving_disc import HEIGHT, WIDTH, disc_clip
from layert2v_engine.decompose.arrays import Size, resize
from layert2v_engine.decompose.protocols import SplitLayers
from layert2v_engine.decompose.splitter import TrainedSplitter
from layert2v_engine.decompose.splitter.network import (
    SplitterConfig,
    SplitterNetwork,
    linear_values,
    network_values,
    save_network,
)
from layert2v_engine.training.splitter.corruption import Corruption
from layert2v_engine.training.splitter.splits import Split


def corrupt_disc(seed: int = 2) -> tuple[Split, torch.Tensor]:
    """Return a disc over a wall at twice its size, with a drifting plate and a wandering mask."""
    clip = disc_clip(frames=4)
    source, plate = (network_values(torch.from_numpy(x).movedim(-1, 1))
                     for x in (clip.source, clip.background))  # fmt: skip
    alpha, shadow = (torch.from_numpy(x)[:, None] for x in (clip.alpha, clip.shadow))
    big = [torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
           for x in (source, plate, alpha, shadow)]  # fmt: skip
    true = Split(source=big[0], plate=big[1], alpha=big[2], shadow=big[3])
    return Corruption(torch.Generator().manual_seed(seed))(true)


def split(frames: Split, mask: torch.Tensor, rows: slice = slice(None)) -> SplitLayers:
    source, plate = (linear_values(x[rows]).movedim(1, -1).numpy()
                     for x in (frames.source, frames.plate))  # fmt: skip
    return TrainedSplitter().split(source, plate, mask[rows, 0].numpy())


def test_alpha_and_shadow_are_better_than_what_goes_in() -> None:
    mask_error = alpha_error = shadow_error = shadow_total = 0.0
    for seed in range(4):
        frames, mask = corrupt_disc(seed)
        layers = split(frames, mask)
        alpha, shadow = frames.alpha[:, 0].numpy(), frames.shadow[:, 0].numpy()
        beside = alpha < 0.02
        mask_error += float(np.abs(mask[:, 0].numpy() - alpha).sum())
        alpha_error += float(np.abs(layers.alpha - alpha).sum())
        shadow_error += float(np.abs(layers.shadow - shadow)[beside].sum())
        shadow_total += float(shadow[beside].sum())
    assert alpha_error < 0.75 * mask_error
    assert shadow_error < shadow_total


def test_a_window_is_split_like_its_frames() -> None:
    frames, mask = corrupt_disc()
    whole, part = split(frames, mask), split(frames, mask, slice(2, 3))
    np.testing.assert_allclose(part.alpha[0], whole.alpha[2], atol=1e-5)
    np.testing.assert_allclose(part.shadow[0], whole.shadow[2], atol=1e-5)


def test_a_shadow_is_found_without_a_plate() -> None:
    """On each of four walls: less than two thirds of it are missed or too much."""
    for seed in range(4):
        clip = disc_clip(frames=2, seed=seed)
        size = Size(3 * WIDTH, 3 * HEIGHT)
        source, mask, shadow = (
            np.stack([resize(frame, size) for frame in each])
            for each in (clip.source, clip.alpha, clip.shadow)
        )
        found, beside = TrainedSplitter().find_shadow(source, mask), mask < 0.02
        assert np.abs(found - shadow)[beside].sum() < 0.65 * shadow[beside].sum()


def test_weights_that_need_a_plate_find_no_shadow_without(tmp_path: Path) -> None:
    config = SplitterConfig(widths=(8, 16), groups=4)
    save_network(SplitterNetwork(config), tmp_path)
    clip = disc_clip(frames=2)
    assert not TrainedSplitter(tmp_path).find_shadow(clip.source, clip.alpha).any()


def test_any_values_and_any_size_give_planes_in_0_to_1() -> None:
    rng = np.random.default_rng(0)
    source = rng.random((1, 90, 1111, 3), np.float32) * 50 - 1
    source[0, 5, 5] = np.inf
    mask = (rng.random((1, 90, 1111)) > 0.5).astype(np.float32)
    layers = TrainedSplitter().split(source, source, mask)
    for plane in layers:
        assert plane.shape == mask.shape
        assert plane.dtype == np.float32
        assert 0 <= plane.min() <= plane.max() <= 1
