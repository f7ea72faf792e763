from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.regions import SeenMask, average, overlap
from layert2v_engine.decompose.subjects.tracking import SubjectTracker


class _Blind:
    """Sees nothing, so that flow and candidates are all there is."""

    def predict(self, picture: ByteArray) -> FloatArray:
        return np.zeros(picture.shape[:2], np.float32)


class _Bright:
    """Takes all that it is shown for the subject."""

    def predict(self, picture: ByteArray) -> FloatArray:
        return np.ones(picture.shape[:2], np.float32)


def test_a_subject_is_followed_to_both_sides_of_where_it_is_known() -> None:
    pictures, truth = _walk()
    tracker = SubjectTracker(pictures, ClipMotion(pictures), _Blind())
    masks = tracker.follow({2: truth[2].astype(np.float32)}, {})
    assert min(overlap(mask > 0.5, true) for mask, true in zip(masks, truth, strict=True)) > 0.65


def test_a_subject_between_two_known_frames_is_followed_from_both() -> None:
    pictures, truth = _walk()
    tracker = SubjectTracker(pictures, ClipMotion(pictures), _Blind())
    last = len(pictures) - 1
    both = {k: truth[k].astype(np.float32) for k in (0, last)}

    masks = tracker.follow_between(both, {})
    alone = tracker.follow({0: both[0]}, {})

    assert all((masks[k] == both[k]).all() for k in both)
    assert overlap(masks[last - 1] > 0.5, truth[last - 1]) > 0.7
    assert overlap(masks[last - 1] > 0.5, truth[last - 1]) >= overlap(
        alone[last - 1] > 0.5, truth[last - 1]
    )


def test_what_is_far_from_what_was_shown_is_left_out() -> None:
    pictures, truth = _walk()
    tracker = SubjectTracker(pictures, ClipMotion(pictures), _Blind())
    seen = truth.astype(np.float32)
    seen[:, :6, :6] = 1
    wrong = np.zeros_like(seen)
    wrong[:, :6, :6] = 1

    kept = tracker.keep_near(seen, 2, truth[2].astype(np.float32))
    lost = tracker.keep_near(wrong, 2, truth[2].astype(np.float32))

    assert not kept[[0, 1, 3], :6, :6].any()
    assert min(overlap(a > 0.5, b) for a, b in zip(kept[1:4], truth[1:4], strict=True)) > 0.9
    assert (lost == wrong).all()


def test_a_candidate_counts_where_it_agrees_alone() -> None:
    pictures, truth = _walk()
    tracker = SubjectTracker(pictures, ClipMotion(pictures), _Blind())
    whole = Box(0, 0, truth.shape[2], truth.shape[1])
    other = np.zeros(truth.shape[1:], np.float32)
    other[:20, :20] = 1
    known = {0: truth[0].astype(np.float32)}
    alone = tracker.follow(known, {})
    wrong = tracker.follow(known, {1: [SeenMask(other, whole)]})
    right = tracker.follow(known, {1: [SeenMask(truth[1].astype(np.float32), whole)]})
    assert (wrong == alone).all()
    assert np.abs(right[1] - truth[1]).mean() < np.abs(alone[1] - truth[1]).mean()


def test_a_close_view_that_shows_something_else_does_not_count() -> None:
    pictures, truth = _walk()
    tracker = SubjectTracker(pictures, ClipMotion(pictures), _Blind())
    mask = truth[0].astype(np.float32)
    whole = Box(0, 0, truth.shape[2], truth.shape[1])
    assert (tracker.look_closely(0, SeenMask(mask, whole)) == mask).all()


def test_every_frame_is_looked_at_in_the_view_of_the_nearest_known_one() -> None:
    pictures, truth = _walk()
    tracker = SubjectTracker(pictures, ClipMotion(pictures), _Bright())
    left, right = Box(20, 20, 70, 70), Box(40, 20, 90, 70)
    known = {0: SeenMask(truth[0].astype(np.float32), left)}
    known[4] = SeenMask(truth[4].astype(np.float32), right)
    masks = tracker.look_everywhere(known)
    assert masks[1][:, 70:].max() == 0
    assert masks[3][:, 70:90].max() > 0
    assert masks[3][:, :36].max() == 0


def test_a_mask_is_carried_over_several_frames() -> None:
    pictures, truth = _walk()
    carried = ClipMotion(pictures).carry(truth[4].astype(np.float32), 4, 2)
    assert overlap(carried > 0.5, truth[2]) > 0.65


def test_a_mask_says_nothing_outside_of_its_box() -> None:
    mask, other = np.ones((4, 6), np.float32), np.zeros((4, 6), np.float32)
    mean = average(mask, [SeenMask(other, Box(0, 0, 3, 4))])
    assert (mean[:, :3] == 0.5).all()
    assert (mean[:, 3:] == 1).all()


def _walk() -> tuple[np.ndarray, np.ndarray]:
    """Return a textured square ``[5, 80, 120]`` that moves over a textured ground."""
    draw = np.random.default_rng(1)
    ground, square = (draw.integers(0, 255, shape) for shape in ((20, 30, 3), (6, 6, 3)))
    frames, truth = [], []
    for k in range(5):
        picture = np.kron(ground, np.ones((4, 4, 1))).astype(np.uint8)
        left = 30 + 5 * k
        picture[30:54, left : left + 24] = np.kron(square, np.ones((4, 4, 1)))
        frames.append(picture)
        truth.append(np.zeros((80, 120), bool))
        truth[-1][30:54, left : left + 24] = True
    return np.stack(frames), np.stack(truth)
