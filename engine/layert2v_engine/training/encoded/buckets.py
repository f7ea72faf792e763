"""Which size and length a clip is trained at: the one of a few that loses least of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from layert2v_engine.errors import EngineError

_PATTERN = re.compile(r"(\d+)x(\d+)x(\d+)")


class Bucket(NamedTuple):
    """Width and height in pixels, and frames."""

    width: int
    height: int
    frames: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


def parse_bucket(text: str, steps: tuple[int, int]) -> Bucket:
    """Return the bucket ``832x480x81`` names.

    steps: in frames and pixels. Raises EngineError, with the nearest that a model can make, for
    another.
    """
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise EngineError(
            f"{text!r} is no size and length.", "Write for example 832x480x81.", reason="BAD_SIZE"
        )
    width, height, frames = (int(each) for each in found.groups())
    later, pixels = steps
    nearest = Bucket(
        max(1, round(width / pixels)) * pixels,
        max(1, round(height / pixels)) * pixels,
        1 + max(0, round((frames - 1) / later)) * later,
    )
    if nearest != (width, height, frames):
        raise EngineError(
            f"Sides must be multiples of {pixels} pixels, and frames {later} times a number, and "
            f"one: not {text}.",
            f"The nearest is {nearest}.",
            reason="BAD_SIZE",
        )
    return nearest


def choose_bucket(buckets: Sequence[Bucket], width: int, height: int, frames: int) -> Bucket | None:
    """Return the bucket for a clip; None where it is shorter than all of them.

    That is the one of nearest shape, then of most frames, then the largest that does not enlarge
    it, or the smallest.
    """

    def loss(bucket: Bucket) -> tuple[float, int, bool, float]:
        shape = abs(math.log(bucket.width / bucket.height) - math.log(width / height))
        is_enlarged = bucket.width > width or bucket.height > height
        area = bucket.width * bucket.height
        return round(shape, 3), -bucket.frames, is_enlarged, area if is_enlarged else -area

    return min((each for each in buckets if each.frames <= frames), key=loss, default=None)
