from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
import torch

from layert2v_engine.evaluation import classifiers
from layert2v_engine.evaluation.classifiers import (
    _place_anywhere,
    render_test_clips,
    render_training_clips,
)
from layert2v_engine.world.dataset import TEST_SEED, ClipSet
from layert2v_engine.world.text.scenes import sample_scene


class Recorder:
    """A renderer that notes what it is asked for."""

    asked: list[dict[str, Any]]
    size = (2, 2)

    def __init__(self, world: Path, processes: int) -> None:
        del world, processes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def clips(self, count: int, **options: Any) -> ClipSet:
        self.asked.append({"count": count, **options})
        scene = sample_scene(Random(0), foregrounds=1)
        pixels = torch.full((count, 11, options["frames"], *self.size), 7, dtype=torch.uint8)
        return ClipSet(pixels=pixels, scenes=(scene,) * count)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    Recorder.asked = []
    monkeypatch.setattr(classifiers, "Renderer", Recorder)
    return Recorder.asked


def seeds(call: dict[str, Any]) -> set[int]:
    return set(range(call["first_seed"], call["first_seed"] + call["count"]))


@pytest.mark.parametrize("trained_on", [8, 1400])
def test_classifiers_are_not_tested_on_their_own_clips(
    trained_on: int, asked: list[dict[str, Any]]
) -> None:
    """Whether they were trained just now or long ago, on few clips or many."""
    render_training_clips(Path(), trained_on, 9)
    own = set.union(*map(seeds, asked))
    assert len(own) == trained_on
    assert not any(call.get("unseen") for call in asked)
    asked.clear()
    tests = render_test_clips(Path(), 64, 9, 2)
    assert set(tests) == {"seen", "held_out", "two"}
    shown = [seeds(call) for call in asked]
    assert sum(map(len, shown)) == len(set.union(*shown)) == 3 * 64
    assert not own & set.union(*shown)
    assert min(set.union(*shown)) >= TEST_SEED
    assert all(call["unseen"] for call in asked)
    assert [call["foregrounds"] for call in asked] == [1, 1, 2]


def test_a_subject_is_shown_at_any_size_and_place() -> None:
    pictures = torch.full((64, 1, 40, 40), 0.5)
    pictures[:, :, 15:25, 15:25] = 1.0
    moved = _place_anywhere(pictures, torch.Generator().manual_seed(0), fill=0.5)
    assert moved.shape == pictures.shape
    assert float(moved[:, :, 0, 0].min()) == pytest.approx(0.5)  # nothing but the fill comes in
    areas = (moved > 0.75).float().sum((1, 2, 3)).sqrt()
    assert areas.min() < 6 < 10 < areas.max()
    columns = torch.stack(
        [(row > 0.75).float().nonzero()[:, 1].float().mean() for row in moved[:, 0]]
    )
    assert columns.min() < 14
    assert columns.max() > 26


def test_classifiers_are_trained_on_clips_as_small_as_they_see_them(
    asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "size", (192, 320))
    clips = render_training_clips(Path(), 6, 17)
    assert {call["frames"] for call in asked} == {5}
    assert clips.pixels.shape == (6, 11, 5, 64, 106)
    assert int(clips.pixels.min()) == int(clips.pixels.max()) == 7
    assert len(clips.scenes) == 6


def test_a_batch_of_headings_has_both() -> None:
    """Also of a world in which all subjects head to one side."""
    rng = torch.Generator().manual_seed(0)
    pictures, right = torch.rand(32, 3, 4, 6), torch.ones(32, dtype=torch.long)
    mirrored, headings = classifiers._turn_some(pictures, right, rng)
    assert 8 < int(headings.sum()) < 24
    for before, after, heading in zip(pictures, mirrored, headings, strict=True):
        assert torch.equal(after, before if heading else before.flip(-1))
