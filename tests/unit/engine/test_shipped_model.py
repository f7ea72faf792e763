"""The pages say of the shipped model what it offers, so that new weights bring new pages."""

from __future__ import annotations

from pathlib import Path

from layert2v_engine.evaluation.benchmark import checkpoint_size
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.pipeline import find_model

ROOT = Path(__file__).resolve().parents[3]
README, PAGE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/mini.md"))
FOLDER = find_model("mini")
INFO = read_index(FOLDER).info
SIZE = f"{INFO.default_width} x {INFO.default_height}"


def test_size_and_length_are_stated() -> None:
    readme = " ".join(README.split())
    assert f"{SIZE} pixels and {INFO.frames_range[1]} frames" in readme
    head = PAGE.partition("\n## ")[0]
    assert SIZE in head
    assert f"or {INFO.frames_range[1]} frames" in head
    assert f"{checkpoint_size(FOLDER)['size_mb']:.1f} MB" in head


def test_the_words_it_knows_are_listed() -> None:
    table = PAGE.partition("## What it knows")[2].partition("\n## ")[0].replace("\n", " ")
    kinds = ("subject", "action", "place", "time", "colour")
    missing = [word for kind in kinds for word in INFO.vocabulary[kind] if word not in table]
    assert not missing
