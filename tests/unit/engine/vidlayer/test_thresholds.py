from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.errors import BadConfig
from layert2v_engine.vidlayer.thresholds import Thresholds


def test_own_numbers_replace_single_defaults(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[inspect.hole_share]\nmax = 0.5\n")

    thresholds = Thresholds.load(path)

    assert thresholds.reasons("inspect", {"hole_share": 0.4}) == []
    assert thresholds.reasons("inspect", {"hole_share": 0.6, "cuts": 1}) == [
        "hole: hole_share is 0.6",
        "cut_inside: cuts is 1",
    ]


def test_a_score_that_is_not_there_decides_nothing() -> None:
    assert Thresholds.load().reasons("inspect", {"cuts": None}) == []


def test_an_unknown_score_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[inspect.beauty]\nmin = 1\n")

    with pytest.raises(BadConfig, match=r"no score inspect\.beauty"):
        Thresholds.load(path)
