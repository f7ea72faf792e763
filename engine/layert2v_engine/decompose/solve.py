"""Layers of one frame whose ``over`` is the footage, to half precision, whatever was proposed.

Networks propose plate, alpha and shadow. What is delivered follows from them and the footage:

* where nothing covers or darkens, the background is the footage, to the bit;
* under a shadow ``s`` it is ``footage / (1 - s)``, so that it keeps real texture and grain;
* where the footage is brighter than the plate without being covered (a reflection, bounced light)
  the background is the plate and the rest is light: color with alpha 0 in the shadow layer;
* under a subject the background is the plate, and the premultiplied foreground what is left;
  where that would be negative, alpha is raised, or, where alpha is to stay, the background lowered.

Numbers are rounded to half in this order, each from what was rounded before, so that rounding
errors do not add up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import WHOLE, FloatArray, HalfArray, Part

# Less coverage or shadow than a code value of 8 bits is noise, more than all but one is all.
_LEAST = 1 / 255
_MOST_SHADOW = 0.98  # a deeper one would leave a background of rounding errors
_HALF_MAX = 65504.0
_ROUNDING, _SMALLEST = 2.0**-10, 2.0**-23  # two roundings to half


class FrameLayers(NamedTuple):
    """The layers of one frame as delivered: half, premultiplied, scene-linear.

    ``background`` is ``[H, W, 3]``; ``shadow`` and ``foreground`` are ``[H, W, 4]``.
    """

    background: HalfArray
    shadow: HalfArray
    foreground: HalfArray


class Proposal(NamedTuple):
    """What networks say of a frame: an aligned ``plate`` ``[H, W, 3]`` and planes ``[H, W]``.

    ``alpha`` and ``shadow`` are in 0..1; ``light`` is 1 where the footage may be brighter than the
    plate because of the subject. ``keeps_alpha`` is more than 0.5 where alpha is surer than the
    plate and stays.
    """

    plate: FloatArray
    alpha: FloatArray
    shadow: FloatArray
    light: FloatArray
    keeps_alpha: FloatArray


def solve_frame(source: HalfArray, proposal: Proposal, part: Part = WHOLE) -> FrameLayers:
    """Return the layers of a frame of footage ``[H, W, 3]``, scene-linear half.

    ``proposal`` is about ``part`` of it; the background of the rest is the footage.
    """
    height, width = source.shape[:2]
    layers = FrameLayers(
        source.copy(),
        np.zeros((height, width, 4), np.float16),
        np.zeros((height, width, 4), np.float16),
    )
    changed = (proposal.alpha >= _LEAST) | (proposal.shadow >= _LEAST) | (proposal.light > 0)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    if len(rows):  # everything else is the footage: most of a picture, and of the time
        inner = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        solved = _solve(source[part][inner], Proposal(*(each[inner] for each in proposal)))
        for whole, region in zip(layers, solved, strict=True):
            whole[part][inner] = region
    return layers


def expand_proposal(proposal: Proposal, part: Part, height: int, width: int) -> Proposal:
    """Return a proposal about ``part`` of a picture as one about all of it: nothing elsewhere."""
    planes = []
    for plane in proposal:
        whole = np.zeros((height, width, *plane.shape[2:]), np.float32)
        whole[part] = plane
        planes.append(whole)
    return Proposal(*planes)


def _solve(source: HalfArray, proposal: Proposal) -> FrameLayers:
    frame = source.astype(np.float32)
    plate = np.clip(proposal.plate, 0.0, _HALF_MAX)
    shadow = _clean_shadow(proposal.shadow, frame)
    kept = 1.0 - shadow.astype(np.float32)[..., None]
    alpha = _clean_alpha(proposal.alpha)
    is_covered = alpha[..., None] > 0

    unshadowed = frame / kept
    lit = np.minimum(plate, unshadowed) * proposal.light[..., None]
    lit += unshadowed * (1.0 - proposal.light[..., None])
    gives_way = is_covered & (proposal.keeps_alpha[..., None] > 0.5)
    plate = np.where(gives_way, np.minimum(plate, _most_below(frame, alpha, kept)), plate)
    background = _to_half(np.where(is_covered, plate, lit))
    below = background.astype(np.float32) * kept  # what lower layers show, without light

    rest = np.where(is_covered | (proposal.light[..., None] == 0), 0.0, frame - below)
    light = _to_half(np.maximum(rest, 0.0))
    below += light.astype(np.float32)

    raised = _raise_alpha(alpha, frame, below)
    remainder = frame - (1.0 - raised.astype(np.float32))[..., None] * below
    color = _to_half(np.where(is_covered, remainder, 0.0))
    return FrameLayers(background, _rgba(light, shadow), _rgba(color, raised))


def solve_over(source: HalfArray, proposal: Proposal, below: FloatArray) -> FrameLayers:
    """Return shadow and foreground over what lower layers show ``[H, W, 3]``, which stays.

    ``background`` is that, in half. Where ``below`` cannot be the footage under no coverage, the
    foreground covers as much as it must.
    """
    frame = source.astype(np.float32)
    shadow = _clean_shadow(proposal.shadow, frame)
    kept = below * (1.0 - shadow.astype(np.float32)[..., None])
    rest = frame - kept
    tolerance = np.maximum(np.abs(frame), np.abs(kept)) * _ROUNDING + _SMALLEST
    differs = (np.abs(rest) > tolerance).any(-1)
    alpha = _clean_alpha(proposal.alpha)
    alpha = np.where(differs & (alpha == 0), np.float16(_LEAST), alpha)
    raised = _raise_alpha(alpha, frame, kept)
    is_covered = raised[..., None] > 0
    remainder = frame - (1.0 - raised.astype(np.float32))[..., None] * kept
    color = _to_half(np.where(is_covered, remainder, 0.0))
    light = np.zeros_like(color)
    return FrameLayers(_to_half(below), _rgba(light, shadow), _rgba(color, raised))


def compose(layers: FrameLayers, below: FloatArray | None = None) -> FloatArray:
    """Return ``over`` of the layers ``[H, W, 3]``, with ``below`` in place of the background."""
    base = layers.background.astype(np.float32) if below is None else below
    for layer in (layers.shadow, layers.foreground):
        pixels = layer.astype(np.float32)
        base = pixels[..., :3] + base * (1.0 - pixels[..., 3:])
    return base


def _clean_shadow(shadow: FloatArray, frame: FloatArray) -> HalfArray:
    clean = np.where(shadow < _LEAST, 0.0, np.minimum(shadow, _MOST_SHADOW))
    is_too_bright = np.abs(frame).max(-1) > _HALF_MAX * (1.0 - clean)  # half could not hold it
    return _to_half(np.where(is_too_bright, 0.0, clean))


def _clean_alpha(alpha: FloatArray) -> HalfArray:
    clean = np.where(alpha < _LEAST, 0.0, np.where(alpha > 1.0 - _LEAST, 1.0, alpha))
    return _to_half(clean)


def _most_below(frame: FloatArray, alpha: HalfArray, kept: FloatArray) -> FloatArray:
    """Return the brightest background over which a foreground of ``alpha`` is not negative."""
    shown = (1.0 - alpha.astype(np.float32))[..., None] * kept
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        most = np.maximum(frame, 0.0) / shown
    return np.where(shown > 0, most, _HALF_MAX).astype(np.float32)


def _raise_alpha(alpha: HalfArray, frame: FloatArray, below: FloatArray) -> HalfArray:
    """Return alpha no smaller than it was, and large enough that no foreground is negative."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(below > 0, 1.0 - np.maximum(frame, 0.0) / below, 0.0).max(-1)
    required = np.clip(share, 0.0, 1.0)
    raised = np.maximum(alpha.astype(np.float32), np.where(alpha > 0, required, 0.0))
    rounded = raised.astype(np.float16)
    short = rounded.astype(np.float32) < raised
    return np.where(short, np.nextafter(rounded, np.float16(2.0)), rounded)


def _rgba(color: HalfArray, alpha: HalfArray) -> HalfArray:
    return np.concatenate([color, alpha[..., None]], -1)


def _to_half(values: NDArray[np.floating]) -> HalfArray:
    return np.clip(values, -_HALF_MAX, _HALF_MAX).astype(np.float16)
