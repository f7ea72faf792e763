from __future__ import annotations

import torch

from fakes.splits import true_split
from layert2v_engine.decompose.splitter.network import NO_PLATE, linear_values
from layert2v_engine.training.splitter.relighting import Relighting
from layert2v_engine.training.splitter.splits import Split, hide_plate


def relit(seed: int) -> Split:
    return Relighting(torch.Generator().manual_seed(seed))(true_split())


def test_a_seed_gives_the_same_light_again() -> None:
    assert torch.equal(relit(1).source, relit(1).source)
    assert not torch.equal(relit(1).source, relit(2).source)


def test_layers_under_another_light_make_the_source() -> None:
    true, split = true_split(), relit(3)
    subject = linear_values(torch.full_like(true.source, 0.1))
    under = linear_values(split.plate) * (1 - split.shadow)
    source = torch.where(split.alpha > 0.5, subject, under)
    assert float((linear_values(split.source) - source).abs().max()) < 1e-4
    assert torch.equal(split.alpha, true.alpha)


def test_shadows_are_deeper_or_fainter_or_none_and_grounds_darker() -> None:
    true, split = true_split(), relit(4)
    deepest = split.shadow.amax((1, 2, 3))
    assert float(deepest.min()) == 0
    assert float(deepest.max()) > 0.5
    darker = (split.plate < true.plate - 0.01).float().mean((1, 2, 3))
    assert 0 < int((darker > 0).sum()) < len(darker)


def test_without_a_plate_the_whole_shadow_is_to_be_found() -> None:
    split = true_split()
    rows = torch.arange(len(split.source)) % 2 == 0
    hidden = hide_plate(split, split.shadow + 0.25, rows)
    assert bool((hidden.plate[rows] == NO_PLATE).all())
    assert torch.equal(hidden.plate[~rows], split.plate[~rows])
    assert torch.equal(hidden.shadow[rows], split.shadow[rows] + 0.25)
    assert torch.equal(hidden.shadow[~rows], split.shadow[~rows])
