from __future__ import annotations

import numpy as np
import pytest

from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.decompose.subjects.words import WordMatcher
from layert2v_engine.errors import FootageError


class Street:
    """A detector that sees the same things on every picture."""

    labels = ("dog", "person", "sports ball")

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """Return a person, a dog and a ball."""
        boxes = {"person": Box(0, 0, 20, 60), "dog": Box(30, 30, 60, 60)}
        boxes |= {"sports ball": Box(70, 50, 80, 60)}
        return [Detection(label, 0.8, box) for label, box in boxes.items()]


@pytest.mark.parametrize(
    ("words", "label"),
    [("the dog", "dog"), ("a puppy", "dog"), ("the ball", "sports ball"), ("the woman", "person")],
)
def test_words_are_matched_by_what_they_mean(words: str, label: str) -> None:
    found = WordMatcher(Street()).find(np.zeros((9, 64, 96, 3), np.uint8), words)

    assert {each.label for each in found} == {label}


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(
        FootageError, match="'the airplane' was not found in the footage; what is seen: dog"
    ):
        WordMatcher(Street()).find(np.zeros((9, 64, 96, 3), np.uint8), "the airplane")
