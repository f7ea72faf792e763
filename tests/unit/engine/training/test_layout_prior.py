"""A prior is measured on clips, and moves the noise of those subjects alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from layert2v_engine.layout import Figure, StreamLayout
from layert2v_engine.model.layout_prior import STRENGTH, LayoutPrior
from layert2v_engine.training import layout_prior
from layert2v_engine.training.layout_prior import PriorLatents, build_layout_prior
from layert2v_engine.world.dataset import ClipSet, stream_channels
from layert2v_engine.world.text.scenes import Actor, Scene
from layert2v_engine.world.text.vocabulary import SUBJECTS

FOX = next(index for index, word in enumerate(SUBJECTS) if word.name == "fox")
HEIGHT, WIDTH = 32, 80


class Drawn:
    """A renderer whose foxes are 20 pixels long, 12 high and higher where they head."""

    def __init__(self, world: Path, processes: int) -> None:
        del world, processes

    def __enter__(self) -> Drawn:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def clips(self, count: int, *, foregrounds: int, first_seed: int, **_: object) -> ClipSet:
        spots = ("left", "right") if foregrounds == 2 else ("middle", "left", "right")
        pixels = torch.zeros(count, 6 + 5 * foregrounds, 1, HEIGHT, WIDTH, dtype=torch.uint8)
        scenes = []
        for row in range(count):
            actors = []
            for k, part in enumerate(stream_channels(foregrounds)[3::3]):
                spot = spots[(first_seed + row + k) % len(spots)]
                heading = ("left", "right")[(row + k) % 2]
                start = {"left": 8, "middle": 30, "right": 52}[spot]
                matte = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
                matte[16:28, start : start + 20] = 255
                head = start if heading == "left" else start + 16
                matte[8:16, head : head + 4] = 255
                pixels[row, part] = matte
                actors.append(Actor(subject=FOX, heading=heading, spot=spot))
            scenes.append(Scene(place=0, time=0, actors=tuple(actors)))
        return ClipSet(pixels=pixels, scenes=tuple(scenes))


@pytest.fixture
def prior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LayoutPrior:
    monkeypatch.setattr(layout_prior, "Renderer", Drawn)
    monkeypatch.setattr(layout_prior, "CLIPS", 100)
    return build_layout_prior(tmp_path, 2, 1, lambda *_: None)


def test_means_are_of_subjects_that_are_turned_and_moved_together(prior: LayoutPrior) -> None:
    for heading, head, back in (("right", 47, 31), ("left", 31, 47)):
        mean = prior.matte(Figure("fox", heading, "middle"), 1, HEIGHT, WIDTH)
        assert mean is not None
        assert mean[22, 34:46].min() > 0.9
        assert mean[11, head] > 0.4 > 0.1 > mean[11, back]
    for spot, column in (("left", 18), ("right", 62)):
        mean = prior.matte(Figure("fox", "right", spot), 2, HEIGHT, WIDTH)
        assert mean is not None
        assert mean[22, column] > 0.9
        assert mean[22, WIDTH - column] < 0.1


def test_only_the_noise_of_known_subjects_is_moved(prior: LayoutPrior) -> None:
    layout = StreamLayout.for_foregrounds(2)

    def encode(video: Tensor, layout: StreamLayout, stream: str) -> Tensor:
        assert stream in layout.names
        return video[::4].transpose(0, 1)[:, :, ::8, ::8] + 1  # as latents: [1, 2, 4, 10]

    latents = PriorLatents(prior, (5, HEIGHT, WIDTH), encode)
    like = torch.zeros(2, len(layout), 1, 2, 4, 10)
    pair = (Figure("fox", "right", "left"), Figure("bear", "right", "right"))
    shift = latents.shift([pair, ()], layout, None, like)
    moved = [name for name, row in zip(layout.names, shift[0], strict=True) if row.any()]
    assert moved == ["matte_01"]
    assert not shift[1].any()
    assert float(shift.max()) == pytest.approx(STRENGTH, abs=0.02)
    still = latents.shift([pair, ()], layout, 1, like[:, :, :, :1])
    assert torch.equal(still, shift[:, :, :, 1:])
