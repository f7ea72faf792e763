from __future__ import annotations

import json
from pathlib import Path

from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.write import HELD_OUT_SHARE, split_of, write_catalogue


def test_clips_of_one_group_are_in_one_split(tmp_path: Path) -> None:
    groups = [f"source {number}" for number in range(40)]
    for number in range(120):
        state = ClipState(tmp_path, f"clip_{number:03d}")
        state.finish("clip", {"group": groups[number % 40], "reasons": []})
        state.finish("cut", {"foregrounds": 1})
        state.finish("write", {"sha256": {}})

    counts = write_catalogue(tmp_path)

    lines = (tmp_path / "catalogue.jsonl").read_text().splitlines()
    splits: dict[str, set[str]] = {group: set() for group in groups}
    for record in map(json.loads, lines):
        splits[record["group"]].add(record["split"])
    assert counts == {"clips": 120, "kept": 120, "quarantine": 0}
    assert all(len(each) == 1 for each in splits.values())
    assert set.union(*splits.values()) == {"train", "held_out"}
    held_out = (tmp_path / "held_out.jsonl").read_text().splitlines()
    assert len(held_out) + len((tmp_path / "train.jsonl").read_text().splitlines()) == 120


def test_a_tenth_of_many_groups_is_held_out() -> None:
    held_out = sum(split_of(f"group {number}") == "held_out" for number in range(2000))

    assert abs(held_out / 2000 - HELD_OUT_SHARE) < 0.03
