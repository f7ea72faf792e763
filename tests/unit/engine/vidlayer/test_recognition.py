from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes.disc_sample import FILES, good_sample
from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.vidlayer.readers.sample import LayeredSample, LayerFiles
from layert2v_engine.vidlayer.recognition import describe, recognize
from layert2v_engine.vidlayer.template import captions_by_template


class RedDetector:
    """A detector that knows one kind: what is red is a ball."""

    labels = ("sports ball", "dog")

    def detect(self, picture: np.ndarray) -> list[Detection]:
        red = picture[..., 0].astype(int) - picture[..., 1] > 60
        rows, columns = np.nonzero(red)
        if not len(rows):
            return []
        box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return [Detection("sports ball", 0.9, box)]


def scores(sample: LayeredSample, caption: str, *, by_template: bool = False) -> dict[str, float]:
    layer = LayerFiles(matte=FILES.foregrounds[0].matte, caption=caption)
    captioned = replace(sample, files=replace(FILES, foregrounds=(layer,)))
    return recognize(captioned, RedDetector(), by_template=by_template)


def test_a_subject_in_the_background_is_seen_again() -> None:
    sample = good_sample()
    caption = "a sports ball moving to the right"

    assert set(scores(sample, caption).values()) == {0.0}
    left = replace(sample, background=sample.full)
    assert scores(left, caption)["subject_seen_again"] == 0.9


@pytest.mark.parametrize(
    ("caption", "conflicts"),
    [
        ("Somebody moves to the right", 0),
        ("Somebody moves left", 1),
        ("two sports balls moving to the right", 0),
        ("a dog moving to the right", 1),
        ("a dog moving to the left", 2),
        ("somebody juggles", 0),
    ],
)
def test_a_caption_is_held_against_kind_and_heading(caption: str, conflicts: int) -> None:
    assert scores(good_sample(), caption)["caption_conflicts"] == conflicts


def test_what_is_not_recognized_does_not_speak_against_a_caption() -> None:
    hidden = replace(good_sample(), full=good_sample().background)

    assert scores(hidden, "a dog")["caption_conflicts"] == 0


def test_a_template_says_what_is_seen_and_is_held_to_it() -> None:
    captions = describe(good_sample(), RedDetector())

    assert captions["subject"] == "sports ball"
    assert captions["foreground_caption"] == "a sports ball moving to the right"
    for caption, conflicts in (("a sports ball moving to the right", 0), ("a subject at rest", 1)):
        captioned = scores(good_sample(), caption, by_template=True)
        assert captioned["caption_conflicts"] == conflicts


def test_a_kind_that_is_seen_once_is_not_said() -> None:
    look = [Detection("dog", 0.9, Box(0, 0, 1, 1))]

    assert captions_by_template([look, [], []], (0.0, 0.0))["full_caption"] == "a subject at rest"
    assert captions_by_template([look, look, []], (0.0, -0.1))["full_caption"] == "a dog moving up"
