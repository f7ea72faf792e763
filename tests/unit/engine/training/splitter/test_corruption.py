from __future__ import annotations

import torch

from fakes.splits import true_split
from layert2v_engine.training.splitter.corruption import Corruption
from layert2v_engine.training.splitter.splits import Split


def corrupt(seed: int) -> tuple[Split, torch.Tensor]:
    return Corruption(torch.Generator().manual_seed(seed))(true_split())


def test_a_seed_gives_the_same_again() -> None:
    (a, mask_a), (b, mask_b), (c, _) = corrupt(1), corrupt(1), corrupt(2)
    assert torch.equal(a.plate, b.plate)
    assert torch.equal(mask_a, mask_b)
    assert not torch.equal(a.plate, c.plate)


def test_masks_are_rough_but_of_the_same_subject() -> None:
    split, mask = corrupt(3)
    error = (mask - split.alpha).abs().mean((1, 2, 3)) / split.alpha.mean((1, 2, 3))
    assert 0.02 < float(error.median()) < 0.8
    assert float((mask * split.alpha).sum() / split.alpha.sum()) > 0.7


def test_plates_are_wrong_but_of_the_same_place() -> None:
    split, _ = corrupt(4)
    plain = Corruption(torch.Generator().manual_seed(4))._expose(true_split()).plate
    error = (split.plate - plain).abs().mean((1, 2, 3))
    assert float(error.max()) < 0.35
    assert float(error.median()) > 0.005


def test_the_shadow_is_what_is_taken_from_the_plate_as_given() -> None:
    """Where a plate still holds the source's own pixels, nothing is taken from it."""
    split, _ = corrupt(5)
    beside = (split.alpha == 0) & (true_split().shadow > 0)
    is_source = (split.source - split.plate).abs().amax(1, keepdim=True) < 1e-4
    assert float(split.shadow[beside & is_source].sum()) == 0
    assert float(split.shadow[beside & ~is_source].mean()) > 0.3
