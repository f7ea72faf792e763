from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.several import RemainingPictures, check_distinct
from layert2v_engine.errors import FootageError

MASKS = np.zeros((3, 60, 80), np.float32)
MASKS[:, 20:40, 10:30] = 1


def test_what_was_found_no_longer_stands_out() -> None:
    pictures = np.full((3, 60, 80, 3), 120, np.uint8)
    pictures[MASKS > 0] = (250, 20, 20)
    pictures[:, 20:40, 50:60] = (20, 20, 250)

    remaining = RemainingPictures(pictures, [MASKS])

    assert len(remaining) == 3
    assert np.abs(remaining[1][20:40, 10:30].astype(int) - 120).max() <= 2
    assert (remaining[0:2][:, :, 45:] == pictures[0:2, :, 45:]).all()


def test_one_subject_is_not_two() -> None:
    with pytest.raises(FootageError, match="Subjects 2 and 3 are the same part"):
        check_distinct([MASKS[:, :, ::-1], MASKS, MASKS * 0.9])


def test_subjects_may_touch() -> None:
    check_distinct([MASKS, np.roll(MASKS, 12, 2)])
