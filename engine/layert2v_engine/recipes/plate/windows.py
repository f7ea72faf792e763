"""Windows of a long shot for a network that takes a fixed number of frames, faded into another.

Knows numbers of frames and pictures, not what makes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from layert2v_engine.decompose.arrays import FloatArray, Size
from layert2v_engine.decompose.shots import Window

FRAME_GROUP = 4  # frames that one latent frame of Wan stands for, after the first


def plan_windows(frames: int, length: int, overlap: int) -> list[Window]:
    """Return windows of exactly ``length`` frames that cover a shot; one, where it is shorter.

    They overlap by ``overlap`` frames, the last two by as many as it takes.
    """
    if frames <= length:
        return [Window(0, frames)]
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [Window(start, start + length) for start in starts]


def pad_length(frames: int) -> int:
    """Return the next length that Wan's autoencoder takes: a multiple of four and one more."""
    return -(-(frames - 1) // FRAME_GROUP) * FRAME_GROUP + 1


def pad_frames(clip: FloatArray, length: int) -> FloatArray:
    """Return a clip ``[T, ...]`` that goes on backwards from its end to ``length`` frames."""
    order = [*range(len(clip)), *range(len(clip) - 2, 0, -1)] or [0]
    return clip[[order[k % len(order)] for k in range(length)]]


def cross_fade(
    windows: Sequence[Window], clips: Iterable[FloatArray], overlap: int
) -> Iterator[tuple[int, FloatArray]]:
    """Yield frames by number and their pictures, of the clips ``[T, H, W, C]`` of all windows.

    Where windows overlap, one fades into the other; what a single one shows stays as it is.
    """
    pending: dict[int, tuple[FloatArray, float]] = {}
    for place, (window, clip) in enumerate(zip(windows, clips, strict=True)):
        count = window.end - window.start
        for offset in range(count):
            index = window.start + offset
            weight = min(offset + 1, count - offset, overlap + 1) / (overlap + 1)
            total, sum_of_weights = pending.get(index, (np.zeros_like(clip[offset]), 0.0))
            pending[index] = (total + weight * clip[offset], sum_of_weights + weight)
        last = place + 1 == len(windows)
        settled = window.end if last else windows[place + 1].start
        for index in sorted(each for each in pending if each < settled):
            total, sum_of_weights = pending.pop(index)
            yield index, np.asarray(total / sum_of_weights, np.float32)


def network_size(full: Size, area: int, step: int) -> Size:
    """Return the size that a network sees: of about the same shape, sides that ``step`` divides.

    At most ``area`` pixels, and not larger than the footage, rounded up to a step.
    """
    scale = min(1.0, (area / (full.width * full.height)) ** 0.5)
    size = Size(*(max(step, round(side * scale / step) * step) for side in full))
    while size.width * size.height > area and max(size) > step:
        narrower, lower = Size(size.width - step, size.height), Size(size.width, size.height - step)
        smaller = [each for each in (narrower, lower) if min(each) >= step]
        size = min(smaller, key=lambda each: _shape_error(each, full))
    return size


def _shape_error(size: Size, full: Size) -> float:
    return abs(math.log(size.width * full.height / (size.height * full.width)))
