"""Matte, shadow and light of a window of frames: split at a bounded size, brought up to full size.

A network sees at most ``SIDE`` pixels; what it says follows the edges of the full-size footage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.align import align_plate
from layert2v_engine.decompose.arrays import (
    BoolArray,
    FloatArray,
    Size,
    dilate,
    encode,
    fit_within,
    resize,
)
from layert2v_engine.decompose.effects import find_light, keep_attached_shadow
from layert2v_engine.decompose.plate.grain import add_grain
from layert2v_engine.decompose.protocols import Splitter
from layert2v_engine.decompose.solve import HalfArray, Proposal
from layert2v_engine.decompose.split import guided_coefficients

SIDE = 960
_GUIDE_RADIUS, _GUIDE_SMOOTHNESS = 2, 1e-5
_MASK_REACH = 0.02  # of the longer side: how far an effect of the mask is from being the plate


class MattingFrames(NamedTuple):
    """A window: ``source`` and ``plate`` ``[T, H, W, 3]``, ``mask`` and ``invented`` ``[T, h, w]``.

    ``matte`` ``[T, H, W]`` is the artist's own alpha, None where there is none. ``first`` is the
    place of the first frame in the shot, so that each frame has grain of its own.
    """

    source: HalfArray
    plate: HalfArray
    mask: FloatArray
    invented: BoolArray
    matte: HalfArray | None
    first: int = 0


def propose_layers(frames: MattingFrames, splitter: Splitter) -> Iterator[Proposal]:
    """Yield what the solver needs of each frame of a window."""
    full = Size(*frames.source.shape[2:0:-1])
    small = fit_within(full, SIDE)
    aligned = [_align(frames, index, full) for index in range(len(frames.mask))]
    sources = [resize(source.astype(np.float32), small) for source in frames.source]
    plates = [resize(plate, small) for plate in aligned]
    masks = [resize(mask, small) for mask in _masks(frames)]
    split = splitter.split(np.stack(sources), np.stack(plates), np.stack(masks))
    for index, plate in enumerate(aligned):
        subject = dilate(np.maximum(split.alpha[index], masks[index]) > 0.1, 2)
        invented = resize(frames.invented[index].astype(np.float32), small) > 0.5
        shadow = keep_attached_shadow(split.shadow[index], subject)
        light = find_light(sources[index], plates[index], subject, invented | (shadow > 0))
        if frames.matte is not None:
            alpha = frames.matte[index].astype(np.float32)
        else:
            source = frames.source[index].astype(np.float32)
            alpha = _bring_up(split.alpha[index], sources[index], source)
        planes = (_stretch(plane, full) for plane in (shadow, light))
        yield Proposal(plate, alpha, *planes)


def _align(frames: MattingFrames, index: int, full: Size) -> FloatArray:
    mask = frames.mask[index]
    hole = dilate(mask > 0.1, max(2, round(_MASK_REACH * max(mask.shape))))
    hole_full = resize(hole.astype(np.float32), full) > 0.0
    source, plate = (each[index].astype(np.float32) for each in (frames.source, frames.plate))
    return add_grain(
        align_plate(source, plate, hole_full), source, hole_full, seed=frames.first + index
    )


def _masks(frames: MattingFrames) -> FloatArray:
    return frames.mask if frames.matte is None else frames.matte.astype(np.float32)


def _bring_up(plane: FloatArray, small: FloatArray, full: FloatArray) -> FloatArray:
    """Return ``plane`` at full size along the edges there (fast guided filter, He 2015)."""
    size = Size(full.shape[1], full.shape[0])
    if plane.shape == full.shape[:2]:
        return plane
    plain = resize(plane, size)
    unsure = (plain >= 1e-3) & (plain <= 1 - 1e-3)
    rows, columns = np.flatnonzero(unsure.any(1)), np.flatnonzero(unsure.any(0))
    if not len(rows):
        return plain
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    slope, offset = guided_coefficients(encode(small), plane, _GUIDE_RADIUS, _GUIDE_SMOOTHNESS)
    guided = (resize(slope, size)[part] * encode(full[part])).sum(-1) + resize(offset, size)[part]
    plain[part] = np.where(unsure[part], guided.clip(0.0, 1.0), plain[part])
    return plain


def _stretch(plane: FloatArray, size: Size) -> FloatArray:
    return resize(plane, size)
