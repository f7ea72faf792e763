from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.tiny_weights import write_grounding_dino, write_sam
from layert2v_engine.decompose.arrays import ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.errors import BadCheckpoint, FootageError
from layert2v_engine.recipes.subjects.boxes import GroundingDino
from layert2v_engine.recipes.subjects.tracking import Sam2Tracker

CPU = torch.device("cpu")
SHAPE = (5, 48, 64)
SQUARE = np.zeros(SHAPE[1:], np.float32)
SQUARE[10:30, 20:40] = 1


class Saliency:
    """Sees the square on bright pictures only."""

    def predict(self, picture: ByteArray) -> FloatArray:
        return SQUARE * float(picture.mean() > 150)


class Detector:
    """Finds words that begin with d, best on the darkest picture."""

    def find(self, picture: ByteArray, words: str) -> list[Detection]:
        score = 1 - float(picture.mean()) / 255
        return [Detection(words, score, Box(20, 10, 40, 30))] if words.startswith("d") else []


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Sam2Tracker:
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    write_sam(root)
    return Sam2Tracker(root / "sam2.1", CPU, saliency=Saliency(), detector=Detector())  # type: ignore[arg-type]


@pytest.fixture
def pictures() -> ByteArray:
    rows = np.random.default_rng(0).integers(0, 200, (*SHAPE, 3), np.uint8)
    rows[3] = 255
    return rows


def find(
    tracker: Sam2Tracker, pictures: ByteArray, hints: SubjectHints
) -> tuple[FloatArray, list[int]]:
    masks, done, first = np.full(SHAPE, -1, np.float32), [], []
    tracker.find(pictures, hints, masks, done.append, first.append)
    assert len(first) == 1
    return masks, done


HINTS = {
    "a box and points": FrameHints(boxes=(Box(20, 10, 40, 30),), inside=((30.0, 20.0),)),
    "a place beside it": FrameHints(inside=((30.0, 20.0),), outside=((2.0, 2.0),)),
    "a scribble": FrameHints(scribble=SQUARE - np.flipud(SQUARE) * 0.9),
}


@pytest.mark.parametrize("name", HINTS)
@pytest.mark.parametrize("frame", [0, 2, 4])
def test_a_subject_is_followed_both_ways(
    tracker: Sam2Tracker, pictures: ByteArray, name: str, frame: int
) -> None:
    masks, done = find(tracker, pictures, SubjectHints(frames={frame: HINTS[name]}))
    assert masks.min() >= 0  # every frame was written
    assert masks.max() <= 1
    assert done[-1] == len(pictures)
    assert done == sorted(done)


def test_a_mask_that_was_shown_stays_as_it_is(tracker: Sam2Tracker, pictures: ByteArray) -> None:
    hints = SubjectHints(frames={1: HINTS["a scribble"], 3: FrameHints(mask=SQUARE)})
    masks, _ = find(tracker, pictures, hints)
    assert np.array_equal(masks[3], SQUARE)
    assert masks.min() >= 0


def test_words_are_looked_for_where_they_are_seen_best(
    tracker: Sam2Tracker, pictures: ByteArray
) -> None:
    pictures[4] = 10
    found = tracker._search(pictures, "dog")
    assert found == {4: FrameHints(boxes=(Box(20, 10, 40, 30),))}
    with pytest.raises(FootageError, match="Nothing like 'cat' was found"):
        tracker._search(pictures, "cat")


def test_without_a_word_the_salient_subject_is_meant(
    tracker: Sam2Tracker, pictures: ByteArray
) -> None:
    assert [*tracker._search(pictures, "")] == [3]
    with pytest.raises(FootageError, match="No subject was found"):
        tracker._search(pictures // 3, "")


def test_boxes_of_words_are_pixels_of_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: ByteArray
) -> None:
    torch.manual_seed(0)
    write_grounding_dino(tmp_path, "the red dog")
    network = GroundingDino(tmp_path / "grounding-dino", CPU)
    monkeypatch.setattr("layert2v_engine.recipes.subjects.boxes.MIN_SCORE", 0.0)
    found = network.find(pictures[0], "The red dog")
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) == 4
    assert all(0 <= each.box.left <= each.box.right <= SHAPE[2] for each in found)
    assert all(0 <= each.box.top <= each.box.bottom <= SHAPE[1] for each in found)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadCheckpoint):
        Sam2Tracker(tmp_path, CPU, saliency=Saliency())
