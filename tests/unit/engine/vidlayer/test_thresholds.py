from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from layert2v_engine.errors import BadConfig
from layert2v_engine.vidlayer.thresholds import DEFAULTS, Thresholds


def test_own_numbers_replace_single_defaults(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[inspect.hole_share]\nmax = 0.5\n")

    thresholds = Thresholds.load(path)

    assert thresholds.reasons("inspect", {"hole_share": 0.4}) == []
    assert thresholds.reasons("inspect", {"hole_share": 0.6, "cuts": 1}) == [
        "hole: hole_share is 0.6, at most 0.5 is let through",
        "cut_inside: cuts is 1, at most 0 is let through",
    ]


def test_a_score_that_is_not_there_decides_nothing() -> None:
    assert Thresholds.load().reasons("inspect", {"cuts": None}) == []


def test_an_unknown_score_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[inspect.beauty]\nmin = 1\n")

    with pytest.raises(BadConfig, match=r"no score inspect\.beauty"):
        Thresholds.load(path)


@pytest.mark.parametrize(
    "text",
    ["[inspect]\ncuts = 1\n", "[inspect.cuts]\nmaximum = 1\n", '[inspect.cuts]\nmax = "1"\n'],
)
def test_what_is_no_limit_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)

    with pytest.raises(BadConfig, match=r"inspect\.cuts has to be a table with the numbers min"):
        Thresholds.load(path)


def test_every_reason_has_words() -> None:
    tables = tomllib.loads(DEFAULTS.read_text())
    reasons = {
        each["reason"] for limits in tables.values() for each in limits.values() if "reason" in each
    }

    assert reasons <= set(Thresholds.load().meanings())
