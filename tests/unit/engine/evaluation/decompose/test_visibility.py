from __future__ import annotations

import cv2
import numpy as np

from layert2v_engine.evaluation.decompose.visibility import find_seen


def test_what_a_moving_camera_shows_of_a_hidden_place_is_seen() -> None:
    coarse = np.random.default_rng(0).integers(30, 220, (12, 40, 3)).astype(np.uint8)
    wall = cv2.resize(coarse, (160, 48), interpolation=cv2.INTER_CUBIC)
    plates = np.stack([wall[:, 3 * k : 3 * k + 96] for k in range(3)])
    hidden = np.zeros((3, 48, 96), bool)
    for k in range(3):  # stays in the middle of the picture, while the wall goes by below it
        hidden[k, 14:34, 40:60] = True

    seen = find_seen(plates, hidden)

    assert not (seen & ~hidden).any()
    assert seen[0, 18:30, 41:45].mean() > 0.9  # 6 pixels to the left, two frames later
    assert not seen[0, 18:30, 48:58].any()
    assert seen[2, 18:30, 55:59].mean() > 0.9


def test_what_stays_hidden_is_never_seen() -> None:
    plates = np.full((2, 32, 32, 3), 90, np.uint8)
    hidden = np.zeros((2, 32, 32), bool)
    hidden[:, 8:24, 8:24] = True
    assert not find_seen(plates, hidden)[:, 10:22, 10:22].any()
