"""When frames are shown: constant and variable rates, and SMPTE timecode. Knows numbers only."""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median_low

_RATES = tuple(Fraction(rate) for rate in (8, 10, 12, 15, 16, 24, 25, 30, 48, 50, 60, 100, 120))
_BROADCAST = tuple(rate * 1000 / 1001 for rate in map(Fraction, (24, 30, 48, 60, 120)))
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")


def is_variable(
    times: Sequence[Fraction], rate: Fraction, duration: Fraction = Fraction(0)
) -> bool:
    """Tell whether frames shown at ``times`` (seconds, ascending) leave a constant ``rate``.

    That is by half a frame or more; containers round times, some to milliseconds. ``duration`` is
    that of the whole clip, where the last frame may be held for longer; 0 where it is not known.
    """
    if duration * rate - len(times) >= 1:
        return True
    return any(
        abs((time - times[0]) * rate - index) >= Fraction(1, 2) for index, time in enumerate(times)
    )


def likely_rate(times: Sequence[Fraction], stated: Sequence[Fraction]) -> Fraction:
    """Return the rate that most frames keep: a stated one, a usual one, or that of the median.

    Never less than a frame in 1001 seconds.
    """
    steps = [after - before for before, after in pairwise(times)]
    rate = max(1 / Fraction(median_low(steps)), Fraction(1, 1001))
    for known in (*stated, *sorted((*_RATES, *_BROADCAST), key=lambda each: abs(each - rate))):
        if abs(known - rate) <= rate / 50:
            return known
    return rate.limit_denominator(1001)


def schedule(times: Sequence[Fraction], duration: Fraction, rate: Fraction) -> list[int]:
    """Return how often each frame is shown where ``times`` are resampled to a constant ``rate``.

    A new frame shows what was on the screen in the middle of its own time. ``duration`` is that of
    the whole clip in seconds.
    """
    repeats = [0] * len(times)
    for index in range(max(1, round(duration * rate))):
        middle = times[0] + (index + Fraction(1, 2)) / rate
        repeats[bisect.bisect_right(times, middle) - 1] += 1
    return repeats


def add_frames(timecode: str, frames: int, fps: float) -> str:
    """Return the SMPTE ``timecode`` so many frames later; "" where it cannot be counted.

    Drop-frame codes (``;``) are counted as such, at 29.97 frames a second. No more than 30 frames a
    second can be counted.
    """
    match, base = _TIMECODE.fullmatch(timecode), round(fps)
    if match is None or not 1 <= base <= 30:
        return ""
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    if minutes > 59 or seconds > 59 or frame >= base:
        return ""
    drop = 2 if match[4] != ":" and base == 30 else 0
    total = ((hours * 60 + minutes) * 60 + seconds) * base + frame
    total -= drop * (hours * 60 + minutes - (hours * 60 + minutes) // 10)
    total += frames
    if drop:
        tens, rest = divmod(total, 17982)
        total += 18 * tens + (2 * ((rest - 2) // 1798) if rest >= 2 else 0)
    seconds, frame = divmod(total, base)
    return (
        f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        f"{';' if drop else ':'}{frame:02d}"
    )
