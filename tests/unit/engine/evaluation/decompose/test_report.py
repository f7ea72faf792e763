from __future__ import annotations

import json
from pathlib import Path

from layert2v_engine.evaluation.decompose.report import Measurements, write


def test_a_bar_that_is_missed_is_bold_and_percentiles_are_kept(tmp_path: Path) -> None:
    measurements = Measurements()
    for k, (iou, shadow) in enumerate([(0.9, 0.2), (0.8, 0.5), (0.95, 1.4)]):
        measurements.add("world", f"clip {k}", {"iou": iou, "shadow_error": shadow})
    splitters = {
        "world": {"mask": {"MAD": [4.0]}, "trained": {"MAD": [1.0], "shadow_error": [0.3]}}
    }
    text = write(tmp_path, measurements, splitters, ["Not measured: samples."])
    assert "| subject, IoU, nothing given | 0.90 | at least 0.85 |" in text
    assert "| shadow error, 1 is none written | **0.50** | at most 0.4 |" in text
    assert "| world | trained | - | 1 |" in text
    assert "Not measured: samples." in text
    found = json.loads((tmp_path / "decompose.json").read_text())
    assert found["summary"]["world"]["iou"]["clips"] == 3
    assert found["clips"]["world/clip 1"]["shadow_error"] == 0.5


def test_the_splitter_is_compared_with_the_better_one_of_the_two_masks(tmp_path: Path) -> None:
    splitters = {
        "world": {
            "mask": {"MAD": [4.0], "Grad": [2.0]},
            "mask, cut at a half": {"MAD": [3.0], "Grad": [5.0]},
            "trained": {"MAD": [1.5], "Grad": [1.0], "shadow_error": [0.3]},
        }
    }
    text = write(tmp_path, Measurements(), splitters, [])
    assert (
        "| world | trained, of the better mask | - | 0.50 | - | - | 0.50 | - | - | - | - |" in text
    )
