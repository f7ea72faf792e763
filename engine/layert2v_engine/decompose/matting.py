"""Matte, shadow and light of a shot: split at a bounded size, brought up to full size.

A network sees at most ``SIDE`` pixels; what it says follows the edges of the full-size footage.
Only the part of a picture that a subject or its effects change is worked on at full size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.align import align_plate, find_drift
from layert2v_engine.decompose.arrays import (
    BoolArray,
    FloatArray,
    Frames,
    HalfArray,
    Part,
    Size,
    blur,
    dilate,
    encode,
    erode,
    fit_within,
    part_around,
    resize,
)
from layert2v_engine.decompose.effects import MIN_SHADOW, find_light, keep_attached_shadow
from layert2v_engine.decompose.plate.grain import add_grain, measure_grain
from layert2v_engine.decompose.protocols import Splitter
from layert2v_engine.decompose.shots import split_windows
from layert2v_engine.decompose.solve import Proposal
from layert2v_engine.decompose.split import follow_edges
from layert2v_engine.decompose.steady import SplitFrame, as_picture, steady

SIDE = 960
WINDOW, OVERLAP = 8, 2  # of a splitter that looks at several frames at once
_MASK_REACH = 0.02  # of the longer side: how far an effect of the mask is from being the plate
_ALPHA_REACH = 0.04  # of the longer side: how far alpha reaches beyond the rough mask
# Of the longer side: how far alpha may fall and reach beside an outline where a plate was invented.
_UNSEEN_INNER, _UNSEEN_OUTER = 0.008, 0.004
_UNSEEN_MARGIN = 0.006  # of the longer side: over which that fades out
_OTHER_RIM_PX = 4  # around the mask of another subject, whose edges are soft
_LEAST = 1e-3  # less coverage than this is none
_STEP = 4  # of pixels that the plate is compared with the footage on


class MattingShot(NamedTuple):
    """Frames that a subject is taken off.

    ``source`` and ``plate`` are ``[T, H, W, 3]``, half; ``mask`` and ``invented`` ``[T, h, w]``.
    ``matte`` ``[T, H, W]`` is an alpha that stays, such as the artist's own, None where there is
    none. ``shadow`` ``[T, h, w]`` is what the subject seemed to cast before there was a plate, None
    for nothing. Where ``corrected`` ``[T, h, w]`` is 1, an artist's points have changed the mask: a
    matte gives way to what is found there, and that keeps to the outline. ``others`` are the masks
    of subjects farther away, which ``source`` shows; ``has_own_plate`` tells that the plate is the
    artist's.
    """

    source: Frames
    plate: Frames
    mask: Frames
    invented: Frames
    matte: Frames | None
    shadow: Frames | None = None
    corrected: Frames | None = None
    others: Sequence[Frames] = ()
    has_own_plate: bool = False

    @property
    def is_found(self) -> bool:
        """Whether alpha is what the splitter finds, somewhere at least."""
        return self.matte is None or self.corrected is not None


class FrameProposal(NamedTuple):
    """What the solver needs of ``frame`` (from 0), whose footage is ``source`` ``[H, W, 3]``.

    ``proposal`` is about ``part`` of the picture; elsewhere nothing changes. ``invented``
    ``[h, w]`` is where the plate was never seen, ``plate_error`` its mean squared difference from
    the footage outside of subject and effects, of encoded values; None where there is no such
    place.
    """

    frame: int
    source: HalfArray
    part: Part
    proposal: Proposal
    invented: BoolArray
    plate_error: float | None


class _SmallFrame(NamedTuple):
    """A frame at the size that is split at, and how the plate drifts from it."""

    source: FloatArray
    plate: FloatArray
    mask: FloatArray
    drift: FloatArray | None


class _Split(NamedTuple):
    """What a splitter says of ``frame``, from 0."""

    frame: int
    small: _SmallFrame
    alpha: FloatArray
    shadow: FloatArray


def propose_layers(shot: MattingShot, splitter: Splitter) -> Iterator[FrameProposal]:
    """Yield what the solver needs of each frame.

    Where the windows of a splitter overlap, what it says is blended, so that there is no seam.
    Alpha is as steady as the footage; an artist's matte stays as it is.
    """
    found = (_limit(shot, each) for each in _split_windows(shot, splitter))
    for each in _steady(found) if shot.is_found else found:
        yield _finish(shot, each)


def _steady(frames: Iterator[_Split]) -> Iterator[_Split]:
    waiting: dict[int, _Split] = {}

    def looked_at() -> Iterator[SplitFrame]:
        for each in frames:
            waiting[each.frame] = each
            yield SplitFrame(each.frame, as_picture(each.small.source), each.alpha)

    for each in steady(looked_at()):
        yield waiting.pop(each.index)._replace(alpha=each.alpha)


def _split_windows(shot: MattingShot, splitter: Splitter) -> Iterator[_Split]:
    count = len(shot.source)
    length, overlap = (WINDOW, OVERLAP) if splitter.is_temporal else (1, 0)
    small: dict[int, _SmallFrame] = {}
    planes: dict[int, FloatArray] = {}  # alpha and shadow [2, h, w], summed over windows
    for window in split_windows(count, length, overlap):
        indices = range(window.start, window.end)
        for index in indices:
            if index not in small:
                small[index] = _prepare(shot, index)
        inputs = zip(
            *((small[k].source, small[k].plate, small[k].mask) for k in indices), strict=True
        )
        split = splitter.split(*(np.stack(each) for each in inputs))
        weights = window.weights(overlap, count)
        for index, weight, alpha, shadow in zip(indices, weights, *split, strict=True):
            share = weight * np.stack([alpha, shadow])
            planes[index] = planes[index] + share if index in planes else share
        last = window.end if window.end == count else window.end - overlap
        for index in sorted(small):
            if index < last:
                yield _Split(index, small.pop(index), *planes.pop(index))


def _prepare(shot: MattingShot, index: int) -> _SmallFrame:
    frames = shot.source[index], shot.plate[index]
    small = fit_within(Size(*frames[0].shape[1::-1]), SIDE)
    source, plate = (resize(each.astype(np.float32), small) for each in frames)
    drift = find_drift(source, plate, resize(_hole(shot, index).astype(np.float32), small) > 0)
    mask = shot.mask[index]
    if shot.matte is not None and not shot.is_found:
        mask = shot.matte[index].astype(np.float32)
    return _SmallFrame(source, align_plate(plate, drift, small), resize(mask, small), drift)


def _limit(shot: MattingShot, split: _Split) -> _Split:
    """Return what a splitter says, without what outlines and other subjects speak against."""
    keeps_outline = _unseen(shot, split)
    if shot.corrected is not None:
        keeps_outline = keeps_outline | (_corrected_share(shot, split) > 0.5)
    alpha = keep_to_mask(split.alpha, split.small.mask, keeps_outline)
    is_other = _is_other(shot, split)
    alpha, shadow = (np.where(is_other, np.float32(0), each) for each in (alpha, split.shadow))
    return split._replace(alpha=alpha, shadow=shadow)


def _unseen(shot: MattingShot, split: _Split) -> BoolArray:
    """Return where the plate was never seen, at the size that is split at."""
    size = Size(*split.alpha.shape[::-1])
    return resize(shot.invented[split.frame].astype(np.float32), size) > 0.5


def _seems_shaded(shot: MattingShot, split: _Split) -> BoolArray:
    """Return where a shadow was seen without the plate, at the size that is split at."""
    if shot.shadow is None:
        return np.zeros(split.alpha.shape, bool)
    size = Size(*split.alpha.shape[::-1])
    return resize(np.asarray(shot.shadow[split.frame], np.float32), size) > MIN_SHADOW


def _is_other(shot: MattingShot, split: _Split) -> BoolArray:
    """Return where another subject is, which differs from the plate as much as this one."""
    found = np.zeros(split.alpha.shape, bool)
    for masks in shot.others:
        mask = resize(np.asarray(masks[split.frame], np.float32), Size(*split.alpha.shape[::-1]))
        found |= dilate(mask > 0.1, _OTHER_RIM_PX)
    return found & (split.small.mask < 0.5)


def _hole(shot: MattingShot, index: int) -> BoolArray:
    """Return where the footage may not show the plate, ``[h, w]``."""
    mask = shot.mask[index]
    return dilate(mask > 0.1, max(2, round(_MASK_REACH * max(mask.shape))))


def _finish(shot: MattingShot, split: _Split) -> FrameProposal:
    index, small, alpha, shadow = split
    source, plate = shot.source[index], shot.plate[index]
    full, unseen = Size(*source.shape[1::-1]), _unseen(shot, split)
    near = dilate(small.mask > 0.1, max(2, round(_ALPHA_REACH * max(alpha.shape))))
    near &= ~_is_other(shot, split)
    alpha = np.where(near, alpha, np.float32(0))  # what moves far from the mask is not the subject
    subject = dilate(np.maximum(alpha, small.mask) > 0.1, 2)
    shadow = keep_attached_shadow(shadow, subject | _seems_shaded(shot, split))
    excluded = unseen | (shadow > 0) | _is_other(shot, split)
    light = find_light(small.source, small.plate, subject, excluded)
    found = _found_share(shot, split)
    alpha = found * alpha + (1 - found) * small.mask
    changed = (alpha > _LEAST) | (shadow > 0) | (light > 0)
    part = part_around(changed, 2, full)
    opacity = _full_alpha(shot, split._replace(alpha=alpha), found, part)
    hole = resize(_hole(shot, index).astype(np.float32), full) > 0.0
    clean = align_plate(plate[part].astype(np.float32), small.drift, full, part)
    grain = measure_grain(plate, source, hole, is_grained=shot.has_own_plate)
    clean = add_grain(clean, grain, hole[part], seed=index)
    # An alpha that stays is not touched, and neither is one beside a plate that is but a guess.
    stays = np.maximum(1 - found, unseen)
    planes = (resize(each, full)[part] for each in (shadow, light, stays))
    proposal = Proposal(clean, opacity, *planes)
    error = _plate_error(source, plate, small.drift, changed)
    return FrameProposal(index, source, part, proposal, shot.invented[index], error)


def _found_share(shot: MattingShot, split: _Split) -> FloatArray:
    """Return how much alpha is what the splitter found, and not one that stays, ``[h, w]``."""
    if shot.matte is None:
        return np.ones(split.alpha.shape, np.float32)
    return _corrected_share(shot, split)


def _corrected_share(shot: MattingShot, split: _Split) -> FloatArray:
    """Return where points have changed the mask, at the size that is split at."""
    if shot.corrected is None:
        return np.zeros(split.alpha.shape, np.float32)
    return resize(shot.corrected[split.frame], Size(*split.alpha.shape[::-1]))


def _full_alpha(shot: MattingShot, split: _Split, found: FloatArray, part: Part) -> FloatArray:
    """Return ``part`` of alpha at full size: one that stays, or what was found."""
    index, small = split.frame, split.small
    source = shot.source[index]
    if shot.matte is None:
        return follow_edges(split.alpha, small.source, source, part)
    kept = shot.matte[index][part].astype(np.float32)
    if shot.corrected is None:
        return kept
    share = resize(found, Size(*source.shape[1::-1]))[part]
    follows = follow_edges(split.alpha, small.source, source, part)
    return np.where(share > 0, share * follows + (1 - share) * kept, kept)


def keep_to_mask(alpha: FloatArray, mask: FloatArray, unseen: BoolArray) -> FloatArray:
    """Return alpha ``[h, w]`` that stays near the outline of ``mask`` where a plate is ``unseen``.

    There it was invented, and what differs from it tells nothing of the subject.
    """
    if not unseen.any():
        return alpha
    longest = max(alpha.shape)
    inner, outer, margin = (
        max(1, round(each * longest)) for each in (_UNSEEN_INNER, _UNSEEN_OUTER, _UNSEEN_MARGIN)
    )
    inside = mask > 0.5
    least = blur(erode(inside, inner).astype(np.float32), inner / 3)
    most = blur(dilate(inside, outer).astype(np.float32), outer / 3)
    share = blur(dilate(unseen, margin).astype(np.float32), margin)
    return np.asarray(alpha + share * (np.clip(alpha, least, most) - alpha), np.float32)


def _plate_error(
    source: HalfArray, plate: HalfArray, drift: FloatArray | None, changed: BoolArray
) -> float | None:
    sampled = [each[::_STEP, ::_STEP].astype(np.float32) for each in (source, plate)]
    size = Size(*sampled[0].shape[1::-1])
    is_free = resize(changed.astype(np.float32), size) == 0
    if not is_free.any():
        return None
    difference = encode(sampled[0]) - encode(align_plate(sampled[1], drift, size))
    return float(np.square(difference[is_free]).mean())
