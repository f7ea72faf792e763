from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.networks.u2netp import U2NetP
from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.finder import SubjectFinder
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.decompose.subjects.regions import overlap


@pytest.fixture(scope="module")
def finder() -> SubjectFinder:
    return SubjectFinder(U2NetP(), None)


def test_a_matte_on_one_frame_is_followed(finder: SubjectFinder) -> None:
    pictures, alpha = _pictures(), disc_clip(frames=7).alpha
    masks = np.zeros_like(alpha)

    hints = SubjectHints().with_mask(3, alpha[3])
    finder.find(pictures, hints, masks)

    assert (masks[3] == alpha[3]).all()
    assert min(overlap(masks[k] > 0.5, alpha[k] > 0.5) for k in (1, 2, 4, 5)) > 0.6


def test_hints_go_before_the_network(finder: SubjectFinder) -> None:
    pictures, alpha = _pictures()[2:4], disc_clip().alpha[2:4]
    masks = np.zeros_like(alpha)
    rows, columns = np.where(alpha[0] > 0.5)
    box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    inside, outside = (columns.mean(), rows.mean()), (90.0, 60.0)

    hints = FrameHints(boxes=(box,), inside=(inside,), outside=(outside,))
    finder.find(pictures, SubjectHints(frames={0: hints}), masks)

    assert masks[0][int(inside[1]), int(inside[0])] == 1
    assert masks[0][int(outside[1]), int(outside[0])] == 0
    assert masks[0][:, : int(box.left) - 6].max() == 0


def _pictures() -> np.ndarray:
    source = disc_clip(frames=7).source
    return (np.clip(source, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
