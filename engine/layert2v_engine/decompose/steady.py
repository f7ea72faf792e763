"""Alpha as steady as the footage: averaged with its neighbors along the flow, by their colors.

A splitter that looks at each frame by itself says something a little different each time; where
the footage shows the same, so should the matte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, encode
from layert2v_engine.decompose.motion import optical_flow, to_gray, warp

_ROUNDS = 2  # each reaches one frame farther
_NEIGHBOR = 0.5  # weight of a neighbor that shows the same
_COLOR_MATCH = 20.0  # of 255: neighbors count less, the more their colors differ


@dataclass(frozen=True, slots=True)
class SplitFrame:
    """What a splitter says of frame ``index``, and that frame ``picture`` ``[h, w, 3]``, 8 bit."""

    index: int
    picture: ByteArray
    alpha: FloatArray
    flows: dict[int, FloatArray] = field(default_factory=dict)  # to neighbors, by their index

    def flow_to(self, other: SplitFrame) -> FloatArray:
        """Return the displacement ``[h, w, 2]`` to another frame."""
        if other.index not in self.flows:
            pair = to_gray(self.picture), to_gray(other.picture)
            self.flows[other.index] = optical_flow(*pair)
        return self.flows[other.index]


def as_picture(source: FloatArray) -> ByteArray:
    """Return a linear picture ``[h, w, 3]`` as its colors are compared."""
    return np.asarray(np.clip(encode(source), 0, 1) * 255, np.uint8)


def steady(frames: Iterable[SplitFrame]) -> Iterator[SplitFrame]:
    """Yield the frames of a shot, which come in order, with steady alpha, two frames later."""
    for _ in range(_ROUNDS):
        frames = _average_once(frames)
    yield from frames


def steady_alpha(alpha: FloatArray, source: FloatArray) -> FloatArray:
    """Return alpha ``[T, h, w]`` of linear frames ``[T, h, w, 3]``, steady."""
    frames = map(SplitFrame, range(len(alpha)), map(as_picture, source), alpha)
    return np.stack([frame.alpha for frame in steady(frames)])


def _average_once(frames: Iterable[SplitFrame]) -> Iterator[SplitFrame]:
    before: SplitFrame | None = None
    frame: SplitFrame | None = None
    for after in frames:
        if frame is not None:
            yield _average(frame, before, after)
        before, frame = frame, after
    if frame is not None:
        yield _average(frame, before)


def _average(frame: SplitFrame, *neighbors: SplitFrame | None) -> SplitFrame:
    total, weight = frame.alpha.copy(), np.ones_like(frame.alpha)
    for other in filter(None, neighbors):
        moved = partial(warp, flow=frame.flow_to(other))
        change = np.abs(moved(other.picture.astype(np.float32)) - frame.picture).max(-1)
        share = _NEIGHBOR * np.exp(-((change / _COLOR_MATCH) ** 2))
        total += share * moved(other.alpha)
        weight += share
    return replace(frame, alpha=np.asarray(total / weight, np.float32))
