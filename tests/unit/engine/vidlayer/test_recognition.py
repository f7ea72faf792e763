from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes.disc_sample import FILES, good_sample
from layert2v_engine.decompose.protocols import Box, Detection
from layert2v_engine.vidlayer.readers.sample import LayeredSample, LayerFiles
from layert2v_engine.vidlayer.recognition import recognize


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


def scores(sample: LayeredSample, caption: str, *, by_template: bool = True) -> dict[str, float]:
    layer = LayerFiles(matte=FILES.foregrounds[0].matte, caption=caption)
    told = replace(sample, files=replace(FILES, foregrounds=(layer,)))
    return recognize(told, RedDetector(), by_template=by_template)


def test_a_subject_in_the_background_is_seen_again() -> None:
    sample = good_sample()
    caption = "a sports ball moving to the right"

    assert scores(sample, caption) == {"subject_seen_again": 0.0, "caption_conflicts": 0.0}
    left = replace(sample, background=sample.full)
    assert scores(left, caption)["subject_seen_again"] == 0.9


@pytest.mark.parametrize(
    ("caption", "conflicts"),
    [
        ("a subject moving to the right", 0),
        ("a subject moving to the left", 1),
        ("a sports ball at rest", 1),
        ("a dog moving to the right", 1),
        ("a dog moving to the left", 2),
        ("somebody juggles", 0),
    ],
)
def test_a_caption_is_held_against_kind_and_heading(caption: str, conflicts: int) -> None:
    assert scores(good_sample(), caption)["caption_conflicts"] == conflicts


def test_what_is_not_recognized_speaks_against_a_template_alone() -> None:
    hidden = replace(good_sample(), full=good_sample().background)

    assert scores(hidden, "a dog", by_template=True)["caption_conflicts"] == 1
    assert scores(hidden, "a dog", by_template=False)["caption_conflicts"] == 0
