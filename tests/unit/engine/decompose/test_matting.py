from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.matting import MattingShot, keep_to_mask, propose_layers
from layert2v_engine.decompose.protocols import SplitLayers
from layert2v_engine.decompose.solve import solve_frame
from layert2v_engine.decompose.split import ClosedFormSplitter

FRAMES = 14


class WindowSplitter:
    """Says 0 of every other window, and 1 of the rest: the worst that a seam can be."""

    is_temporal = True

    def __init__(self) -> None:
        self.calls = 0

    def split(self, source: np.ndarray, plate: np.ndarray, mask: np.ndarray) -> SplitLayers:
        self.calls += 1
        alpha = np.full(mask.shape, self.calls % 2, np.float32)
        return SplitLayers(alpha, np.zeros_like(alpha))


@pytest.fixture(scope="module")
def shot() -> MattingShot:
    clip = disc_clip(frames=FRAMES)
    source, plate = (each.astype(np.float16) for each in (clip.source, clip.background))
    return MattingShot(source, plate, clip.alpha, np.zeros(clip.alpha.shape, bool), None)


def test_windows_are_blended_without_a_seam(shot: MattingShot) -> None:
    splitter = WindowSplitter()

    found = list(propose_layers(shot, splitter))

    levels = [float(each.proposal.alpha.max(initial=0)) for each in found]
    assert [each.frame for each in found] == list(range(FRAMES))
    assert splitter.calls == 2
    assert (levels[0], levels[-1]) == (1, 0)
    assert np.abs(np.diff(levels)).max() < 0.34  # over two frames from one window to the next


def test_alpha_far_from_the_mask_is_not_the_subject(shot: MattingShot) -> None:
    found = next(propose_layers(shot, WindowSplitter()))  # says that everything is the subject

    rows, columns = np.nonzero(shot.mask[0] > 0)
    part = found.part
    assert part[0].start >= rows.min() - 10
    assert part[1].stop <= columns.max() + 10


def test_alpha_keeps_to_the_mask_where_the_plate_was_invented() -> None:
    mask, unseen = np.zeros((100, 200), np.float32), np.zeros((100, 200), bool)
    mask[30:70, 40:160] = 1
    unseen[:, :100] = True
    nothing, all_of_it = np.zeros_like(mask), np.ones_like(mask)

    least, most = (keep_to_mask(each, mask, unseen) for each in (nothing, all_of_it))

    assert least[40:60, 50:90].min() > 0.99
    assert most[:, :35].max() < 0.01
    assert least[:, 110:].max() == 0
    assert most[:, 110:].min() == 1


def test_only_what_changes_is_proposed(shot: MattingShot) -> None:
    for found in propose_layers(shot, ClosedFormSplitter()):
        layers = solve_frame(found.source, found.proposal, found.part)
        is_outside = np.ones(found.source.shape[:2], bool)
        is_outside[found.part] = False
        assert is_outside.mean() > 0.5
        assert (layers.foreground[is_outside] == 0).all()
        assert (layers.background[is_outside] == found.source[is_outside]).all()
        assert layers.foreground[..., 3].max() == 1


@pytest.mark.parametrize("color", [(0.9, 0.7, 0.2), (0.01, 0.01, 0.02)])
def test_a_subject_beside_is_not_taken_along(
    shot: MattingShot, color: tuple[float, float, float]
) -> None:
    """It is another layer's, whose mask is known."""
    source, others = shot.source.copy(), np.zeros_like(shot.mask)
    for frame, mask in enumerate(shot.mask):
        columns = np.nonzero(mask.max(0) > 0)[0]
        left = columns.max() + 2 if frame < FRAMES // 2 else columns.min() - 18
        others[frame, 22:38, left : left + 16] = 1
        source[frame, 22:38, left : left + 16] = color
    beside = shot._replace(source=source, others=[others])

    for found in propose_layers(beside, ClosedFormSplitter()):
        layers = solve_frame(found.source, found.proposal, found.part)
        kept = others[found.frame] > 0
        assert (layers.background[kept] == found.source[kept]).all()
        assert (layers.foreground[kept] == 0).all()
        assert (layers.shadow[kept] == 0).all()


def test_an_artists_matte_is_delivered_as_it_is(shot: MattingShot) -> None:
    """Also where the plate is brighter than the footage."""
    plate, matte = shot.plate + np.float16(0.2), shot.mask.astype(np.float16)
    for found in propose_layers(
        shot._replace(plate=plate, matte=matte, has_own_plate=True), ClosedFormSplitter()
    ):
        layers = solve_frame(found.source, found.proposal, found.part)
        alpha = layers.foreground[..., 3].astype(np.float32)
        np.testing.assert_allclose(alpha, matte[found.frame], atol=1.01 / 255)
