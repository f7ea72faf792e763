"""Cuts in footage, and the windows that a long shot is worked on in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from layert2v.decompose import CUT_INSIDE, Shot, shots_to_text
from layert2v.labels import LABELS
from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.footage import FrameRange
from layert2v_engine.errors import FootageError

# A cut changes hue, saturation and value of a picture by this much (of 255) on the mean, and this
# many times as much as the changes around it, so that a whip pan is none.
_MIN_CHANGE, _MIN_RATIO = 18.0, 3.0
_AROUND = 4  # frames
_SIDE = 96


class Window(NamedTuple):
    """Frames ``start`` up to ``end`` (from 0) that are worked on at once."""

    start: int
    end: int

    def weights(self, overlap: int, frames: int) -> FloatArray:
        """Return the weight of each frame, rising and falling where windows overlap."""
        places = np.arange(self.start, self.end, dtype=np.float32)
        weight = np.ones_like(places)
        if self.start > 0:
            weight = np.minimum(weight, (places - self.start + 1) / (overlap + 1))
        if self.end < frames:
            weight = np.minimum(weight, (self.end - places) / (overlap + 1))
        return weight


def split_windows(frames: int, length: int, overlap: int) -> Iterator[Window]:
    """Yield windows of ``length`` that overlap by ``overlap``; the last one is not shorter."""
    start = 0
    while True:
        end = min(frames, start + length)
        if frames - end < length // 4:  # a short rest has too little to see behind a subject
            end = frames
        yield Window(start, end)
        if end == frames:
            return
        start = end - overlap


class CutFinder:
    """Finds cuts while frames come by, ``[H, W, 3]`` sRGB; keeps two of them."""

    def __init__(self) -> None:
        self._past: list[ByteArray] = []  # the last two
        self._changes: list[float] = []  # from each frame to the next
        self._returns: list[float] = []  # from each frame to the one after the next

    def add(self, picture: ByteArray) -> None:
        """Take the next frame."""
        small = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        current = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2HSV), np.uint8)
        if self._past:
            self._changes.append(_change(self._past[-1], current))
        if len(self._past) == 2:
            self._returns.append(_change(self._past[0], current))
        self._past = [*self._past[-1:], current]

    def cuts(self) -> list[int]:
        """Return the frames (from 0) that a new shot begins with."""
        found = []
        for place, change in enumerate(self._changes):
            around = self._changes[max(0, place - _AROUND) : place + _AROUND + 1]
            others = (sum(around) - change) / max(len(around) - 1, 1)
            if change > _MIN_CHANGE and change > _MIN_RATIO * others:
                found.append(place + 1)
        return [frame for frame in found if not self._is_flash(frame)]

    def _is_flash(self, frame: int) -> bool:
        """Tell whether a single frame differs, such as by lightning, and the shot goes on."""
        # ``frame`` is the odd one, or the first after it.
        return any(
            0 <= before < len(self._returns) and self._returns[before] < _MIN_CHANGE
            for before in (frame - 1, frame - 2)
        )


def refuse_cuts(
    cuts: Sequence[int], numbers: FrameRange, wanted: tuple[int | None, int | None]
) -> None:
    """Raise ``FootageError`` where there are ``cuts`` (from 0) among frames.

    ``wanted`` are the first and the last frame without handles, None for the ends of the range.
    """
    if not cuts:
        return
    starts = [numbers.first + cut for cut in cuts]
    raise FootageError(
        f"There is a cut between frames {starts[0] - 1} and {starts[0]}.",
        _handles_hint(starts, numbers, wanted) or _shots_hint(starts, numbers),
        reason=CUT_INSIDE,
    )


def _handles_hint(
    starts: Sequence[int], numbers: FrameRange, wanted: tuple[int | None, int | None]
) -> str:
    """Return how many handles there can be, "" where a cut is between the frames wanted."""
    first = numbers.first if wanted[0] is None else wanted[0]
    last = numbers.last if wanted[1] is None else wanted[1]
    if any(first < start <= last for start in starts):
        return ""
    possible = min(first - start if start <= first else start - 1 - last for start in starts)
    return f"It is in the handles: ask for {possible} at most."


def _shots_hint(starts: Sequence[int], numbers: FrameRange) -> str:
    firsts = [numbers.first, *starts]
    lasts = [*(start - 1 for start in starts), numbers.last]
    shots = [Shot(first, last) for first, last in zip(firsts, lasts, strict=True)]
    return (
        f"Decompose each shot by itself, or all of them with {LABELS['footage_split'].text} "
        f"(--split-at-cuts): frames {shots_to_text(shots)}. If it is none, say so with "
        f"{LABELS['footage_ignore_cuts'].text} (--ignore-cuts)."
    )


def _change(first: ByteArray, second: ByteArray) -> float:
    difference = np.abs(first.astype(np.int16) - second.astype(np.int16))
    hue = difference[..., 0]
    difference[..., 0] = np.minimum(hue, 180 - hue)  # hue is a circle of 180
    return float(difference.mean())
