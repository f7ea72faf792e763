from __future__ import annotations

import numpy as np
import pytest

from fakes.moving_disc import disc_clip
from layert2v_engine.decompose.arrays import erode
from layert2v_engine.decompose.networks.u2netp import U2NetP
from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.decompose.subjects.finder import (
    SubjectFinder,
    _is_as_shown,
    _plan_windows,
    _Shown,
    correct_masks,
)
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.decompose.subjects.regions import overlap


@pytest.fixture(scope="module")
def finder() -> SubjectFinder:
    return SubjectFinder(U2NetP(), None)


def test_a_matte_on_one_frame_is_followed(finder: SubjectFinder) -> None:
    pictures, alpha = _pictures()[2:5], disc_clip(frames=7).alpha[2:5]
    masks = np.zeros_like(alpha)

    hints = SubjectHints().with_mask(1, alpha[1])
    finder.find(pictures, hints, masks)

    assert (masks[1] == alpha[1]).all()
    assert min(overlap(masks[k] > 0.5, alpha[k] > 0.5) for k in (0, 2)) > 0.6


def test_hints_go_before_the_network(finder: SubjectFinder) -> None:
    pictures, alpha = _pictures()[2:4], disc_clip().alpha[2:4]
    masks = np.zeros_like(alpha)
    rows, columns = np.where(alpha[0] > 0.5)
    box = _box(alpha[0])
    inside, outside = (columns.mean(), rows.mean()), (90.0, 60.0)

    hints = FrameHints(boxes=(box,), inside=(inside,), outside=(outside,))
    find_and_correct(finder, pictures, SubjectHints(frames={0: hints}), masks)

    assert masks[0][int(inside[1]), int(inside[0])] > 0.5
    assert masks[0][int(outside[1]), int(outside[0])] < 0.5
    assert masks[0][:, : int(box.left) - 6].max() == 0


def test_points_beside_a_subject_count_without_others(finder: SubjectFinder) -> None:
    """On the frame of a point on it, on another, and alone."""
    pictures, alpha = _pictures()[2:5], disc_clip(frames=7).alpha[2:5]
    rows, columns = np.where(alpha[0] > 0.5)
    inside, beside = (columns.mean(), rows.mean()), (columns.mean(), rows.mean() - 6)
    for frames in (
        {0: FrameHints(inside=(inside,)), 2: FrameHints(outside=(beside,))},
        {2: FrameHints(outside=(beside,))},
    ):
        masks = np.zeros_like(alpha)
        find_and_correct(finder, pictures, SubjectHints(frames=frames), masks)
        assert masks[2][int(beside[1]), int(beside[0])] < 0.5
        assert masks[1].max() > 0.5


def find_and_correct(
    finder: SubjectFinder, pictures: np.ndarray, hints: SubjectHints, masks: np.ndarray
) -> None:
    """Find masks and correct them as a decomposition does."""
    finder.find(pictures, hints, masks)
    found, turned = masks.copy(), np.ones_like(masks)
    correct_masks(pictures, masks, hints, turned)
    assert ((turned > 0) == ((found > 0.5) != (masks > 0.5))).all()


def test_points_are_followed_over_many_windows_but_not_onto_a_matte_that_was_shown() -> None:
    """A hole in a disc, clicked on a frame of the second window; another has its own matte."""
    clip = disc_clip(frames=40)
    pictures = (np.clip(clip.source, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    masks = np.stack([plane * ~erode(plane > 0.5, 5) for plane in clip.alpha])
    own = masks[19].copy()
    frames = {20: FrameHints(inside=_deepest(clip.alpha[20])), 19: FrameHints(mask=own)}

    correct_masks(pictures, masks, SubjectHints(frames=frames), np.empty_like(masks))

    assert (masks[19] == own).all()
    found = [overlap(mask > 0.5, each > 0.5) for mask, each in zip(masks, clip.alpha, strict=True)]
    assert found[19] < 0.8
    assert min(*found[16:19], *found[20:25]) > 0.8  # the third window begins at 22


def test_words_are_looked_for_beside_what_is_not_the_subject() -> None:
    class Detector:
        labels = ("dog", "cat")

        def detect(self, picture: np.ndarray) -> list[Detection]:
            return [Detection("dog", 0.9, Box(20.0, 20.0, 45.0, 42.0))]

    looked = SubjectFinder(_Blind(), Detector())
    pictures = _pictures()[2:5]
    masks = np.zeros(pictures.shape[:3], np.float32)
    hints = SubjectHints(words="dog", frames={0: FrameHints(outside=((90.0, 60.0),))})
    seen = looked._see(pictures, hints)
    assert seen.frames[0].outside == hints.frames[0].outside
    assert any(each.boxes for each in seen.frames.values())
    find_and_correct(looked, pictures, hints, masks)
    assert masks[0][60, 90] == 0


def test_mattes_on_some_frames_stay_and_lead_to_those_between() -> None:
    clip = disc_clip(frames=16)
    pictures = (np.clip(clip.source, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    finder = SubjectFinder(_Blind(), None)

    def follow(*frames: int) -> np.ndarray:
        masks, hints = np.zeros_like(clip.alpha), SubjectHints()
        for frame in frames:
            hints = hints.with_mask(frame, clip.alpha[frame])
        finder.find(pictures, hints, masks)
        assert all((masks[k] == clip.alpha[k]).all() for k in frames)
        return np.array([overlap(masks[k] > 0.5, clip.alpha[k] > 0.5) for k in range(16)])

    one, three = follow(0), follow(0, 8, 15)
    assert three.mean() > one.mean() + 0.005
    assert three.min() > 0.9


def test_a_second_box_is_followed_where_the_first_leads_elsewhere() -> None:
    """The subject jumps between two boxes that are a few frames apart."""
    clip, frames = disc_clip(frames=16), [0, 1, 2, 3, 12, 13, 14, 15]
    alpha = clip.alpha[frames]
    pictures = (np.clip(clip.source[frames], 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    masks = np.zeros_like(alpha)
    boxes = {k: FrameHints(boxes=(_box(alpha[k]),)) for k in (0, 5)}
    SubjectFinder(_Blind(), None).find(pictures, SubjectHints(frames=boxes), masks)
    found = [overlap(mask > 0.5, each > 0.5) for mask, each in zip(masks, alpha, strict=True)]
    assert min(found[:4]) > 0.7
    assert min(found[4:]) > 0.9


def test_all_mattes_of_a_window_are_known_and_what_its_neighbors_found() -> None:
    assert [frames for _, frames in _plan_windows(34, [4], [])] == [[4], [11], [22]]
    plan = _plan_windows(34, [2, 9, 30], [2, 9, 30])
    assert [frames for _, frames in plan] == [[2, 9], [30], [11, 22]]


def test_what_is_found_without_a_hint_counts_if_it_obeys_all_of_it() -> None:
    alpha = disc_clip(frames=3).alpha
    columns = np.where(alpha[1] > 0.5)[1]
    shown = {1: _Shown(alpha[1], FrameHints(boxes=(_box(alpha[1]),)))}
    click = {0: FrameHints(inside=_deepest(alpha[0]))}

    assert _is_as_shown(alpha, alpha, shown, click)
    assert not _is_as_shown(np.roll(alpha, 30, -1), alpha, shown, {})  # beside the box
    larger = np.maximum(alpha, np.roll(alpha, 30, -1))
    assert not _is_as_shown(larger, alpha, shown, {})  # the box and more
    assert not _is_as_shown(alpha * (columns.mean() > np.arange(alpha.shape[-1])), alpha, shown, {})
    far = {0: FrameHints(inside=((2.0, 2.0),))}
    assert not _is_as_shown(alpha, alpha, shown, far)  # another thing is meant
    beside = {0: FrameHints(outside=_deepest(alpha[0]))}
    assert _is_as_shown(alpha, alpha, shown, beside)  # the same, and a part of it is corrected


def _deepest(mask: np.ndarray) -> tuple[tuple[float, float], ...]:
    rows, columns = np.where(mask > 0.5)
    return ((float(columns.mean()), float(rows.mean())),)


class _Blind:
    """A network to which nothing stands out."""

    def predict(self, picture: np.ndarray) -> np.ndarray:
        return np.zeros(picture.shape[:2], np.float32)


def _box(alpha: np.ndarray) -> Box:
    rows, columns = np.where(alpha > 0.5)
    return Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def _pictures() -> np.ndarray:
    source = disc_clip(frames=7).source
    return (np.clip(source, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
