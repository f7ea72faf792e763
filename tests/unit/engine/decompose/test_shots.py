from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.shots import CutFinder, split_windows


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


def _cuts(pictures: np.ndarray) -> list[int]:
    finder = CutFinder()
    for picture in pictures:
        finder.add((np.clip(picture, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8))
    return finder.cuts()
