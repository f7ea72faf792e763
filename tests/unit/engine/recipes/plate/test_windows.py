from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layert2v_engine.decompose.arrays import Size
from layert2v_engine.recipes.plate.windows import (
    cross_fade,
    network_size,
    pad_frames,
    pad_length,
    plan_windows,
)


@given(st.integers(1, 400), st.integers(5, 81), st.integers(0, 4))
def test_windows_cover_every_frame_and_have_one_length(
    frames: int, length: int, overlap: int
) -> None:
    windows = plan_windows(frames, length, overlap)
    covered = {k for window in windows for k in range(window.start, window.end)}
    assert covered == set(range(frames))
    assert {window.end - window.start for window in windows} == {min(frames, length)}
    shared = [a.end - b.start for a, b in itertools.pairwise(windows)]
    assert all(each >= overlap for each in shared)


def test_overlaps_fade_and_the_rest_stays() -> None:
    windows = plan_windows(21, 13, 4)
    clips = [np.full((13, 1, 1, 1), float(k), np.float32) for k in range(len(windows))]
    faded = dict(cross_fade(windows, clips, 4))
    assert [*faded] == [*range(21)]
    values = [float(faded[k][0, 0, 0]) for k in range(21)]
    assert values[:8] == [0.0] * 8
    assert values == sorted(values)
    assert 0 < values[9] < values[11] < 1
    assert values[13:] == [1.0] * 8


def test_what_all_windows_agree_on_is_not_changed() -> None:
    shot = np.random.default_rng(0).random((50, 2, 3, 3), np.float32)
    windows = plan_windows(50, 17, 5)
    clips = (shot[window.start : window.end] for window in windows)
    for index, picture in cross_fade(windows, clips, 5):
        np.testing.assert_allclose(picture, shot[index], atol=1e-6)


@pytest.mark.parametrize(("frames", "padded"), [(1, 1), (2, 5), (5, 5), (6, 9), (81, 81)])
def test_lengths_are_those_of_the_autoencoder(frames: int, padded: int) -> None:
    assert pad_length(frames) == padded
    clip = np.arange(frames)
    longer = pad_frames(clip, padded)
    assert len(longer) == padded
    assert longer[:frames].tolist() == clip.tolist()
    assert set(longer) == set(clip)


@given(st.integers(32, 4000), st.integers(32, 4000))
def test_sizes_are_exact(width: int, height: int) -> None:
    small = network_size(Size(width, height), 832 * 480, 16)
    assert small.width % 16 == small.height % 16 == 0
    assert small.width * small.height <= 832 * 480
    if max(width, height) < 8 * min(width, height):
        assert abs(np.log(small.width / small.height / (width / height))) < 0.4


def test_common_sizes() -> None:
    assert network_size(Size(1920, 1080), 832 * 480, 16) == (832, 480)
    assert network_size(Size(832, 480), 832 * 480, 16) == (832, 480)
    assert network_size(Size(96, 64), 832 * 480, 16) == (96, 64)
