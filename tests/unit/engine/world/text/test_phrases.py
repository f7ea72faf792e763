"""Phrases: articles."""

from __future__ import annotations

import pytest

from layert2v_engine.world.text import phrases


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("elephant", "an elephant"),
        ("woods", "the woods"),
        ("sand dunes", "sand dunes"),
        ("car", "a car"),
        ("ufo", "a ufo"),
        ("moon", "the moon"),
    ],
)
def test_with_article(noun: str, phrase: str) -> None:
    assert phrases.with_article(noun) == phrase
