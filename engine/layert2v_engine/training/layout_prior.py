"""The layout prior of a training: measured on clips of the world, and as latents of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.layout import Figure, StreamLayout, StreamRole
from layert2v_engine.model.layout_prior import (
    FILE,
    MAX_SUBJECTS,
    STRENGTH,
    LayoutPrior,
)
from layert2v_engine.training.init_from_checkpoint import START
from layert2v_engine.world.dataset import ClipSet, Renderer, Report, stream_channels
from layert2v_engine.world.text.scenes import Actor
from layert2v_engine.world.text.vocabulary import SPOTS, SUBJECTS

CLIPS = 1000  # of which means are taken, some 40 of each subject alone and in pairs
_CHUNK, _REDUCED = 50, 4  # clips rendered at once; pixels of a clip beside each other in a mean
_FIRST_SEED = 5_000_000  # neither a training's clips nor those that are kept out of it


def build_layout_prior(run: Path, foregrounds: int, processes: int, report: Report) -> LayoutPrior:
    """Return the prior of a run, of up to so many subjects.

    It is that of the model the run started from, or measured on the run's world the first time.
    """
    existing = find_layout_prior(run)
    if existing is not None:
        return existing
    mattes, middles = dict[tuple[int, str], Tensor](), dict[int, Tensor]()
    with Renderer(run / "world", processes) as renderer:
        for count in range(1, min(foregrounds, MAX_SUBJECTS) + 1):
            sums = _Means()
            for start in range(0, CLIPS // count, _CHUNK):
                first_seed = _FIRST_SEED + count * CLIPS + start
                sums.add(
                    renderer.clips(
                        _CHUNK, first_seed=first_seed, frames=1, report=report, foregrounds=count
                    )
                )
            means, middles[count] = sums.result()
            mattes |= {(count, name): mean for name, mean in means.items()}
    prior = LayoutPrior(mattes, middles)
    with atomic_write(run / FILE) as temporary:
        prior.save(temporary)
    return prior


def find_layout_prior(run: Path) -> LayoutPrior | None:
    """Return the prior of a run, or that of the model it started from, if there is one."""
    return LayoutPrior.load(run) or LayoutPrior.load(run / START)


class _Means:
    """Mean mattes of subjects that are turned to the right and moved to the middle."""

    def __init__(self) -> None:
        self._mattes: dict[str, list[Tensor]] = {}
        self._middles: dict[str, list[float]] = {spot: [] for spot in SPOTS}

    def add(self, clips: ClipSet) -> None:
        parts = stream_channels(clips.foregrounds)[3::3]
        for pixels, scene in zip(clips.pixels, clips.scenes, strict=True):
            for part, actor in zip(parts, scene.actors, strict=True):
                self._add_matte(pixels[part][0, 0].float() / 255, actor)

    def _add_matte(self, matte: Tensor, actor: Actor) -> None:
        width = matte.shape[1]
        columns = matte.sum(0)
        if not columns.any():
            return
        middle = float((columns * (torch.arange(width) + 0.5)).sum() / columns.sum()) / width
        self._middles[actor.spot].append(middle)
        centered = torch.roll(matte, round((0.5 - middle) * width), -1)
        turned = centered.flip(-1) if actor.heading == "left" else centered
        small = functional.avg_pool2d(turned[None], _REDUCED)[0]
        self._mattes.setdefault(SUBJECTS[actor.subject].name, []).append(small)

    def result(self) -> tuple[dict[str, Tensor], Tensor]:
        """Return bytes [h, w] by subject, and the middles of the three spots."""
        mattes = {
            name: (torch.stack(each).mean(0) * 255).round().byte()
            for name, each in self._mattes.items()
        }
        middles = [sum(each) / len(each) if each else 0.5 for each in self._middles.values()]
        return mattes, torch.tensor(middles)


class PriorLatents:
    """What is added to the noise of training clips, encoded once for each kind of subject.

    encode: returns the normalized latents [C, F, h, w] of an opacity [T, 1, H, W] in 0..1 as a
        stream of a layout. size: frames, height and width of a clip.
    """

    def __init__(
        self,
        prior: LayoutPrior,
        size: tuple[int, int, int],
        encode: Callable[[Tensor, StreamLayout, str], Tensor],
    ) -> None:
        self._prior, self._size, self._encode = prior, size, encode
        self._known: dict[tuple[int, int, Figure], Tensor | None] = {}

    def shift(
        self,
        figures: Sequence[Sequence[Figure]],
        layout: StreamLayout,
        frame: int | None,
        like: Tensor,
    ) -> Tensor:
        """Return what is added to noise [B, S, C, F, h, w] of clips with these subjects.

        frame: the latent frame of stills. like: of that shape.
        """
        shift = torch.zeros_like(like)
        frames = slice(None) if frame is None else slice(frame, frame + 1)
        for row, subjects in enumerate(figures):
            for number, figure in enumerate(subjects, 1):
                known = self._latents(figure, number, len(subjects), layout)
                if known is not None:
                    stream = layout.index(f"{StreamRole.matte}_{number:02d}")
                    shift[row, stream] = known[:, frames].to(shift)
        return shift

    def _latents(
        self, figure: Figure, number: int, count: int, layout: StreamLayout
    ) -> Tensor | None:
        key = number, count, figure
        if key not in self._known:
            _, height, width = self._size
            matte = self._prior.matte(figure, count, height, width)
            self._known[key] = (
                None if matte is None else self._encode_difference(matte, number, layout)
            )
        return self._known[key]

    def _encode_difference(self, matte: Tensor, number: int, layout: StreamLayout) -> Tensor:
        name = f"{StreamRole.matte}_{number:02d}"
        clip = matte.expand(self._size[0], 1, -1, -1)
        empty = torch.zeros_like(clip)
        wanted = self._encode(clip, layout, name) - self._encode(empty, layout, name)
        return STRENGTH * wanted
