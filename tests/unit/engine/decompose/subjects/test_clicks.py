from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.subjects.clicks import (
    ClickFollower,
    correct_mask,
    is_lost,
    read_clicks,
)
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.hints import FrameHints
from layert2v_engine.decompose.subjects.regions import overlap

HEIGHT, WIDTH = 90, 160
BODY_COLOR, BALL_COLOR = np.array([90, -40, -40]), np.array([-60, -40, 100])  # of the ground's
ON_BALL, ON_BODY, BESIDE = (97.0, 45.0), (50.0, 45.0), (140.0, 10.0)


def test_a_click_beside_takes_the_thing_it_is_on_and_leaves_the_rest() -> None:
    picture, body, ball = _frame()
    corrected = _correct(picture, body | ball, FrameHints(outside=(ON_BALL,)))
    assert overlap(corrected > 0.5, body) > 0.97


def test_a_click_on_the_subject_adds_the_thing_it_is_on() -> None:
    picture, body, ball = _frame()
    corrected = _correct(picture, body, FrameHints(inside=(ON_BALL,)))
    assert overlap(corrected > 0.5, body | ball) > 0.97


def test_a_click_that_is_obeyed_changes_nothing() -> None:
    picture, body, _ = _frame()
    mask = np.float32(body)
    hints = FrameHints(inside=(ON_BODY,), outside=(ON_BALL, BESIDE))
    assert correct_mask(picture, mask, read_clicks(picture, mask, hints)) is mask


def test_a_click_where_no_edge_is_changes_what_is_near_it() -> None:
    """Where the picture tells nothing, a wrong click costs little and can be taken back."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    _, body, ball = _frame()
    corrected = _correct(picture, body | ball, FrameHints(outside=(ON_BALL,)))
    assert corrected[45, 97] < 0.5
    assert (corrected[:, :75] == body[:, :75]).all()
    kept = _correct(picture, body | ball, FrameHints(outside=(ON_BALL,), inside=(ON_BODY,)))
    assert kept[45, 50] == 1


def test_a_click_near_the_outline_changes_little() -> None:
    """What is wrong there is a rim; a place deep inside means the whole thing around it."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    _, body, _ = _frame()
    rim = float(np.flatnonzero(body[45])[0]) + 1.5
    changed = [
        int(((_correct(picture, body, FrameHints(outside=((x, 45.0),))) > 0.5) != body).sum())
        for x in (rim, ON_BODY[0])
    ]
    assert 0 < changed[0] < 40 < 200 < changed[1]


def test_a_click_at_the_edge_of_the_picture_and_on_an_empty_mask() -> None:
    picture, body, _ = _frame()
    corner = FrameHints(inside=((WIDTH - 0.01, HEIGHT - 0.01),))
    for mask in (body, np.zeros_like(body)):
        assert _correct(picture, mask, corner)[-1, -1] > 0.5


def test_clicks_follow_what_they_are_on() -> None:
    frames = [_frame(shift) for shift in (0, 3, 6, 9)]
    pictures = np.stack([picture for picture, _, _ in frames])
    masks = np.stack([np.float32(body | ball) for _, body, ball in frames])
    clicks = {1: read_clicks(pictures[1], masks[1], FrameHints(outside=((100.0, 45.0),)))}

    corrected = ClickFollower(ClipMotion(pictures)).correct(masks, clicks)

    for (_, body, _), mask in zip(frames, corrected, strict=True):
        assert overlap(mask > 0.5, body) > 0.97


def test_a_click_corrects_as_much_on_other_frames_as_on_its_own() -> None:
    """Where it was deep inside a thing it means that, though an outline is near elsewhere."""
    picture, body, ball = _frame()
    half = ball & (np.indices(ball.shape)[1] < ON_BALL[0] - 1)
    pictures = np.stack([picture, picture])
    masks = np.stack([np.float32(body | ball), np.float32((body | ball) & ~half)])
    clicks = {0: read_clicks(picture, masks[0], FrameHints(outside=(ON_BALL,)))}

    corrected = ClickFollower(ClipMotion(pictures)).correct(masks, clicks)

    assert all(overlap(mask > 0.5, body) > 0.97 for mask in corrected)


def test_a_click_that_meets_another_color_is_not_followed() -> None:
    picture, body, ball = _frame()
    without = np.where(ball[..., None], _ground(), picture).astype(np.uint8)
    pictures = np.stack([picture, without])
    masks = np.stack([np.float32(body | ball)] * 2)
    follower = ClickFollower(ClipMotion(pictures))
    clicks = {0: read_clicks(picture, masks[0], FrameHints(outside=(ON_BALL,)))}

    assert follower.carry(clicks[0][0], 0, 1) is None
    assert (follower.correct(masks, clicks)[1] == masks[1]).all()


def test_what_was_shown_on_a_frame_goes_before_what_came_from_another() -> None:
    picture, body, ball = _frame()
    pictures = np.stack([picture, picture])
    masks = np.stack([np.float32(body | ball)] * 2)
    clicks = {
        0: read_clicks(picture, masks[0], FrameHints(outside=(ON_BALL,))),
        1: read_clicks(picture, masks[1], FrameHints(inside=(ON_BALL,))),
    }

    corrected = ClickFollower(ClipMotion(pictures)).correct(masks, clicks)

    assert corrected[0, 45, 97] < 0.5
    assert corrected[1, 45, 97] > 0.5


@pytest.mark.parametrize(
    ("place", "lost"), [(ON_BODY, False), (ON_BALL, False), (BESIDE, True)], ids=str
)
def test_points_far_from_a_mask_mean_another_thing(place: tuple[float, float], lost: bool) -> None:
    _, body, _ = _frame()
    assert is_lost(np.float32(body), FrameHints(inside=(place,))) == lost
    assert is_lost(np.zeros_like(np.float32(body)), FrameHints(inside=(place,)))
    assert not is_lost(np.float32(body), FrameHints(outside=(place,)))


def _correct(picture: ByteArray, mask: np.ndarray, hints: FrameHints) -> FloatArray:
    given = np.float32(mask)
    return correct_mask(picture, given, read_clicks(picture, given, hints))


def _ground() -> np.ndarray:
    return np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 3))


def _frame(shift: int = 0) -> tuple[ByteArray, np.ndarray, np.ndarray]:
    """Return a picture of a body that holds a ball, and where either is."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    body = (abs(columns - 55 - shift) < 32) & (abs(rows - 45) < 32)
    ball = (np.hypot(columns - 97 - shift, rows - 45) < 12) & ~body
    picture = np.roll(_ground(), shift, 1)
    picture = np.where(body[..., None], picture + BODY_COLOR, picture)
    picture = np.where(ball[..., None], picture + BALL_COLOR, picture)
    return picture.astype(np.uint8), body, ball
