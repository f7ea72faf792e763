"""When frames are shown: variable rates and timecode."""

from __future__ import annotations

from fractions import Fraction

import pytest

from layert2v_engine.image.footage.timing import add_frames, is_variable, likely_rate, schedule


def times(rate: Fraction, *numbers: int) -> list[Fraction]:
    return [number / rate for number in numbers]


def test_millisecond_rounding_is_no_variable_rate() -> None:
    rounded = [Fraction(round(1000 * index / 24), 1000) for index in range(300)]
    assert not is_variable(rounded, Fraction(24))
    assert is_variable(times(Fraction(24), 0, 1, 2, 10), Fraction(24))


def test_a_last_frame_that_is_held_is_a_variable_rate() -> None:
    stamps = times(Fraction(25), 0, 1)
    assert not is_variable(stamps, Fraction(25), Fraction(2, 25))
    assert is_variable(stamps, Fraction(25), Fraction(4, 25))
    assert schedule(stamps, Fraction(4, 25), Fraction(25)) == [1, 3]


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(24000, 1001), Fraction(30), Fraction(16)])
def test_the_rate_is_that_of_most_frames(rate: Fraction) -> None:
    stamps = times(rate, 0, 1, 2, 3, 9, 10, 11)
    assert likely_rate(stamps, [Fraction(11), rate]) == rate


def test_a_frame_with_a_damaged_time_does_not_make_the_rate() -> None:
    assert likely_rate([Fraction(1, 8), Fraction(1, 6), Fraction(12000)], [Fraction(24)]) == 24
    assert likely_rate([Fraction(0), Fraction(12000)], []) == Fraction(1, 1001)


def test_a_held_frame_is_shown_as_long_as_it_was() -> None:
    stamps = times(Fraction(24), 0, 1, 2, 10, 11, 12)
    assert schedule(stamps, Fraction(13, 24), Fraction(24)) == [1, 1, 8, 1, 1, 1]
    assert schedule(stamps, Fraction(13, 24), Fraction(12)) == [0, 1, 4, 0, 1, 0]


@pytest.mark.parametrize(
    ("start", "frames", "fps", "expected"),
    [
        ("01:02:03:04", 0, 24.0, "01:02:03:04"),
        ("01:02:03:04", 21, 24.0, "01:02:04:01"),
        ("23:59:59:24", 1, 25.0, "00:00:00:00"),
        ("00:00:59;28", 1, 29.97, "00:00:59;29"),
        ("00:00:59;29", 1, 29.97, "00:01:00;02"),
        ("00:09:59;29", 1, 29.97, "00:10:00;00"),
        ("00:00:00;00", 17982, 29.97, "00:10:00;00"),
        ("01:00:00:00", 5, 60.0, ""),
        ("24 frames", 5, 24.0, ""),
    ],
)
def test_timecode_counts_on(start: str, frames: int, fps: float, expected: str) -> None:
    assert add_frames(start, frames, fps) == expected
