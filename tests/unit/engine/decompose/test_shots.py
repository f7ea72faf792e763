from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import Size
from layert2v_engine.decompose.footage import FrameRange
from layert2v_engine.decompose.shots import CutFinder, refuse_cuts, split_windows
from layert2v_engine.errors import FootageError


@pytest.mark.parametrize(("frames", "length", "overlap"), [(3, 8, 2), (8, 8, 2), (50, 12, 4)])
def test_windows_cover_every_frame_once_in_sum(frames: int, length: int, overlap: int) -> None:
    total = np.zeros(frames)

    for window in split_windows(frames, length, overlap):
        total[window.start : window.end] += window.weights(overlap, frames)

    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_a_cut_is_found_where_it_is() -> None:
    first, second = disc_clip(seed=1).source, disc_clip(seed=2).source[:, ::-1, ::-1, ::-1] * 0.4

    assert _cuts(np.concatenate([first, second])) == [len(first)]


def test_a_pan_is_no_cut() -> None:
    assert _cuts(disc_clip(pan=3, frames=12).source) == []


def test_a_flash_is_no_cut() -> None:
    pictures = disc_clip(frames=9).source.copy()
    pictures[4] = 1.0

    assert _cuts(pictures) == []


@pytest.mark.parametrize(
    ("cuts", "wanted", "hint"),
    [
        ([7], (None, None), "frames 1001-1007, 1008-1020."),
        ([7, 12], (1003, 1018), "frames 1001-1007, 1008-1012, 1013-1020."),
        ([7], (1010, 1015), "It is in the handles: ask for 2 at most."),
        ([2, 17], (1004, 1015), "It is in the handles: ask for 1 at most."),
    ],
)
def test_a_cut_is_refused_with_what_can_be_done(
    cuts: list[int], wanted: tuple[int | None, int | None], hint: str
) -> None:
    size = Size(96, 64)
    numbers = FrameRange(first=1001, frames=20, start=0, size=size, full=size)

    with pytest.raises(FootageError, match="a cut between frames") as refused:
        refuse_cuts(cuts, numbers, wanted)

    assert hint in refused.value.hint
    refuse_cuts([], numbers, wanted)


def _cuts(pictures: np.ndarray) -> list[int]:
    finder = CutFinder()
    for picture in pictures:
        finder.add((np.clip(picture, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))
    return finder.cuts()
