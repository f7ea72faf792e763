from __future__ import annotations

import numpy as np

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.steady import SplitFrame, as_picture, steady, steady_alpha


def test_what_jitters_becomes_steadier_and_nearer_to_the_truth() -> None:
    clip = disc_clip(frames=6)
    shifts = (2, -2, 2, -2, 2, -2)  # an outline that jumps up and down
    jumping = np.stack([np.roll(a, s, 0) for a, s in zip(clip.alpha, shifts, strict=True)])

    steadied = steady_alpha(jumping, clip.source)

    before, after = (np.square(each - clip.alpha).mean() for each in (jumping, steadied))
    assert after < 0.7 * before


def test_a_cut_in_color_is_not_averaged_over() -> None:
    source = np.full((4, 40, 40, 3), 0.2, np.float32)
    source[2:] = 0.9
    alpha = np.zeros((4, 40, 40), np.float32)
    alpha[2:] = 1

    assert np.abs(steady_alpha(alpha, source) - alpha).max() < 0.01


def test_frames_come_in_order_and_two_ahead_are_asked_for() -> None:
    clip = disc_clip(frames=5)
    asked: list[int] = []

    def frames():
        for k, alpha in enumerate(clip.alpha):
            asked.append(k)
            yield SplitFrame(k, as_picture(clip.source[k]), alpha)

    found = steady(frames())
    assert next(found).index == 0
    assert asked == [0, 1, 2]
    assert [each.index for each in found] == [1, 2, 3, 4]


def test_a_single_frame_stays_as_it_is() -> None:
    clip = disc_clip(frames=2)
    assert (steady_alpha(clip.alpha[:1], clip.source[:1]) == clip.alpha[:1]).all()
