from __future__ import annotations

from pathlib import Path

import torch

from layert2v_engine.evaluation.decompose.kept import KeptClips


def test_a_clip_is_found_again_under_the_same_conditions_only(tmp_path: Path) -> None:
    kept = KeptClips(tmp_path / "clips", "frames=9")
    pictures = torch.rand(6, 3, 4, 5)
    kept.save("world_00", {"iou": 0.5, "plate_db_seen": float("inf")}, pictures)
    kept.save("world_01", {"iou": 0.0}, None)
    found = KeptClips(tmp_path / "clips", "frames=9").load("world_00")
    assert found is not None
    assert found[0] == {"iou": 0.5, "plate_db_seen": float("inf")}
    assert found[1] is not None
    assert torch.equal(found[1], pictures)
    assert kept.load("world_01") == ({"iou": 0.0}, None)
    assert KeptClips(tmp_path / "clips", "frames=5").load("world_00") is None


def test_what_was_cut_off_is_measured_anew(tmp_path: Path) -> None:
    kept = KeptClips(tmp_path, "")
    kept.save("clip", {"iou": 1.0}, None)
    (tmp_path / "clip.safetensors").write_bytes(b"\x10\x00")
    assert kept.load("clip") is None
    assert kept.load("another") is None


def test_nothing_is_left_after_clearing(tmp_path: Path) -> None:
    kept = KeptClips(tmp_path / "clips", "")
    kept.clear()  # nothing there yet
    kept.save("clip", {"iou": 1.0}, None)
    kept.clear()
    assert kept.load("clip") is None
