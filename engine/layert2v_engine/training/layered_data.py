"""Samples of layered data sets as clips of a run, to be learned from beside those of the world.

Knows how a sample becomes pixels of a ``ClipSet``; forms of data sets are known to their readers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.readers import LayeredSample, open_data_set, read_sample
from layert2v_engine.vidlayer.readers.sample import SampleFiles
from layert2v_engine.world.dataset import ClipSet

TRAIN = "train"  # the split of our own data sets that is learned from
_AROUND = 0.5  # what a foreground stands on, as in the clips of the world
_BLOCK = 64  # clips in memory at once


class ClipFormat(NamedTuple):
    """What the clips of a run look like."""

    foregrounds: int
    frames: int
    height: int
    width: int


class LayeredBlock(NamedTuple):
    """Some clips of data sets, with the captions of each: whole, foregrounds, background."""

    clips: ClipSet
    captions: tuple[tuple[str, ...], ...]


def read_blocks(data_sets: Sequence[Path], wanted: ClipFormat) -> Iterator[LayeredBlock]:
    """Yield the samples that have so many foregrounds and frames enough, as clips of the run.

    A sample is scaled and cropped around its middle; of a longer one the first frames are taken.
    Samples of another kind are left out and counted in the log. Raises ``EngineError`` where a data
    set or a sample cannot be read.
    """
    pixels: list[Tensor] = []
    captions: list[tuple[str, ...]] = []
    left_out = 0
    for files in _samples(data_sets):
        if len(files.foregrounds) != wanted.foregrounds:
            continue
        sample = read_sample(files)
        if len(sample.full) < wanted.frames:
            left_out += 1
            continue
        pixels.append(to_pixels(sample, wanted))
        captions.append(files.captions)
        if len(pixels) == _BLOCK:
            yield _to_block(pixels, captions)
            pixels, captions = [], []
    if pixels:
        yield _to_block(pixels, captions)
    if left_out:
        logging.getLogger(__name__).warning(
            "%d samples have fewer than %d frames and were left out", left_out, wanted.frames
        )


def check_data_sets(data_sets: Sequence[Path]) -> None:
    """Open the data sets and look for all their files, before hours of other work.

    Raises ``EngineError``, which names what is missing.
    """
    for files in _samples(data_sets):
        planes = [
            path
            for each in files.foregrounds
            for path in (each.matte, each.color, each.shadow, each.light, each.over)
            if path
        ]
        for path in (files.full, files.background, *planes):
            if not path.exists():
                raise EngineError(
                    f"Clip {files.name} is not complete: there is no {path}.",
                    "Copy the missing file, or remove the clip from the data set.",
                    reason="LAYER_MISSING",
                )


def to_pixels(sample: LayeredSample, wanted: ClipFormat) -> Tensor:
    """Return a sample as uint8 [6 + 5 K, T, H, W], as in a ``ClipSet``.

    Where there is no shadow, which the authors' form does not have, it is 0.
    """
    full, background = (_fit(each, wanted) for each in (sample.full, sample.background))
    planes = [full, background]
    for layer in sample.foregrounds:
        matte = _fit(layer.matte, wanted)
        color = _AROUND + (_fit(layer.color, wanted) - _AROUND) * matte
        shadow = torch.zeros_like(matte) if layer.shadow is None else _fit(layer.shadow, wanted)
        planes += [color, matte, shadow]
    stacked = torch.cat(planes, 1).transpose(0, 1)
    return (stacked * 255).round().clamp(0, 255).byte()


def _samples(data_sets: Sequence[Path]) -> Iterator[SampleFiles]:
    for path in data_sets:
        yield from open_data_set(path, TRAIN).samples


def _to_block(pixels: list[Tensor], captions: list[tuple[str, ...]]) -> LayeredBlock:
    return LayeredBlock(ClipSet(pixels=torch.stack(pixels), scenes=()), tuple(captions))


def _fit(video: Tensor, wanted: ClipFormat) -> Tensor:
    """Return the first frames of [T, C, H, W], scaled to cover the size and cropped to it."""
    video = video[: wanted.frames]
    height, width = video.shape[-2:]
    scale = max(wanted.height / height, wanted.width / width)
    size = [max(1, round(side * scale)) for side in (height, width)]
    if size != [height, width]:
        video = functional.interpolate(
            video, size, mode="bilinear", antialias=True, align_corners=False
        )
    top, left = (size[0] - wanted.height) // 2, (size[1] - wanted.width) // 2
    return video[..., top : top + wanted.height, left : left + wanted.width]
