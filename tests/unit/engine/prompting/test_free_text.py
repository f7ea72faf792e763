"""Sentences without a vocabulary: split by grammar, and kept true when a layer changes."""

from __future__ import annotations

import pytest

from layert2v_engine.prompting.free_text import revise_sentence, split_sentence


@pytest.mark.parametrize(
    ("sentence", "subjects", "background"),
    [
        (
            "a fox running through a snowy forest at sunset",
            ("a fox running",),
            "a snowy forest at sunset",
        ),
        ("A man in a red coat walking along a beach", ("A man in a red coat walking",), "a beach"),
        (
            "a spaceplane hovering over the Earth",
            ("a spaceplane hovering",),
            "the Earth",
        ),
        ("a child pushes a blue ball in a park.", ("a child pushes a blue ball",), "a park"),
        ("in a quiet harbor, a boat sways", ("a boat sways",), "a quiet harbor"),
        ("At dusk, a bunny hops over the dunes", ("a bunny hops",), "the dunes At dusk"),
        (
            "a fox and a bear walking in a meadow in the early morning",
            ("a fox", "a bear walking"),
            "a meadow in the early morning",
        ),
        (
            "a fox, a bear and a cow standing in a field",
            ("a fox", "a bear and a cow standing"),
            "a field",
        ),
        ("a shiny spaceship", ("a shiny spaceship",), ""),
        ("a man on a bike riding", ("a man on a bike riding",), ""),
    ],
)
def test_a_sentence_is_split_at_its_place(
    sentence: str, subjects: tuple[str, ...], background: str
) -> None:
    assert split_sentence(sentence, 2) == (subjects, background)


def test_one_foreground_keeps_all_subjects() -> None:
    assert split_sentence("a fox and a bear in a wood", 1).subjects == ("a fox and a bear",)


SENTENCE = "A fox running, seen from afar, through a snowy forest"
LAYERS = {"bg": "a snowy forest", "fg_01": "a fox running"}


@pytest.mark.parametrize(
    ("changes", "revised"),
    [
        ({}, SENTENCE),
        ({"bg": "a beach"}, "A fox running, seen from afar, through a beach"),
        ({"fg_01": r"a bear \1"}, r"a bear \1, seen from afar, through a snowy forest"),
        ({"bg": ""}, ""),
        ({"fg_02": "a cow"}, ""),
    ],
)
def test_the_artists_sentence_follows_the_layers(changes: dict[str, str], revised: str) -> None:
    assert revise_sentence(SENTENCE, LAYERS, LAYERS | changes) == revised


def test_a_text_that_the_sentence_does_not_have_cannot_be_replaced() -> None:
    before = LAYERS | {"bg": "a forest in winter"}
    assert revise_sentence(SENTENCE, before, LAYERS) == ""
