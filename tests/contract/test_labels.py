"""Labels: the fields of both requests have one, as short as a panel is narrow."""

from __future__ import annotations

from dataclasses import fields

from layert2v.labels import LABELS
from layert2v.spec import GenerateSpec


def test_every_field_of_a_request_has_a_label() -> None:
    names = {field.name for field in fields(GenerateSpec)} - {"foreground_prompts", "placements"}
    assert names <= LABELS.keys()


def test_the_words_that_artists_know() -> None:
    words = {name: label.text for name, label in LABELS.items()}
    assert words["negative_prompt"] == "Negative Prompt"
    assert words["colorspace"] == "Color Space"
    assert words["fps"] == "FPS"
    assert words["output_size"] == "Output Size"
    assert words["retry"] == "Retry"


def test_labels_fit_into_a_panel_and_tooltips_are_no_sentences() -> None:
    for label in LABELS.values():
        assert 0 < len(label.text) <= 16
        assert not label.tooltip.endswith(".")
