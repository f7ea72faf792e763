from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import blur, dilate
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.recipes.plate.encoding import (
    LOG_SPACE,
    NetworkEncoding,
    find_changes,
    find_encoding,
    keep_source,
)
from layert2v_engine.stack.preview import DISPLAY_SPACE

RAMP = np.linspace(0.0, 1.0, 3 * 64, dtype=np.float32).reshape(8, 8, 3)


@pytest.mark.parametrize(("name", "top"), [(DISPLAY_SPACE, 1.0), (LOG_SPACE, 60.0)])
@pytest.mark.parametrize("colorspace", ["lin_rec709_scene", "lin_ap1_scene"])
def test_light_comes_back_as_it_went(name: str, top: float, colorspace: str) -> None:
    encoding = NetworkEncoding(colorspace, name, ColorConfig.load())
    gray = np.repeat(RAMP[..., :1], 3, -1) * top
    encoded = encoding.encode(gray)
    assert 0.0 <= encoded.min() <= encoded.max() <= 1.0
    np.testing.assert_allclose(encoding.decode(encoded), gray, rtol=2e-3, atol=2e-4)


def test_acescct_is_the_curve_of_its_specification() -> None:
    encoding = NetworkEncoding("lin_ap1_scene", LOG_SPACE, ColorConfig.load())
    gray = np.full((1, 1, 3), 0.18, np.float32)
    # S-2016-001: (log2(0.18) + 9.72) / 17.52
    np.testing.assert_allclose(encoding.encode(gray), 0.41358840, atol=1e-5)


def test_light_above_one_is_shown_as_log() -> None:
    dark = np.full((20, 20, 3), 0.5, np.float32)
    glint = dark.copy()
    glint[0, 0] = 9.0
    bright = dark.copy()
    bright[:5] = 9.0
    assert find_encoding([dark] * 4) == DISPLAY_SPACE
    assert find_encoding([dark, dark, dark, glint]) == DISPLAY_SPACE
    assert find_encoding([dark, bright]) == LOG_SPACE


def test_an_answer_is_used_only_where_something_was_removed() -> None:
    clip = disc_clip(frames=3)
    source, hole = clip.source[1], clip.alpha[1] > 0.1
    answer = blur(clip.background[1], 0.8) * 1.04  # soft and too bright, as networks are
    plate = keep_source(source, answer, hole)
    near = dilate(hole | (clip.shadow[1] > 0), 6)
    assert np.array_equal(plate[~near], source[~near])
    shadow = (clip.shadow[1] > 0.2) & ~dilate(hole, 2)
    error = np.abs(plate - clip.background[1]).mean(-1)
    assert error[shadow].mean() < 0.5 * np.abs(source - clip.background[1]).mean(-1)[shadow].mean()


def test_what_hangs_together_with_a_hole_was_removed_and_nothing_else() -> None:
    source = np.full((60, 60, 3), 0.5, np.float32)
    plate = source.copy()
    hole = np.zeros((60, 60), bool)
    hole[20:30, 20:30] = True
    plate[20:40, 20:30] = 0.8  # with a shadow below
    plate[2:8, 50:58] = 0.8  # something that the network did elsewhere
    changed = find_changes(source, plate, hole)
    assert changed[hole].all()
    assert changed[32:38, 22:28].all()
    assert not changed[:10, 45:].any()
