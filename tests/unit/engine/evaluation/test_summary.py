"""The table of metrics and targets."""

from __future__ import annotations

import pytest

from layert2v_engine.evaluation.summary import TABLE, markdown_table


def test_the_table_says_which_targets_are_met() -> None:
    groups = {"seen": {"recomposition_psnr_db": 31.0, "subject": 0.5}}
    lines = markdown_table(groups).splitlines()
    assert lines[2] == "| recomposition, PSNR | 31 dB | at least 30 dB | yes |"
    assert lines[3] == "| subject | 50.0 % | 80 % | **no** |"
    assert len(lines) == 4 < len(TABLE)


@pytest.mark.parametrize(("frames", "met"), [(17, "yes"), (9, "asked for less")])
def test_a_smaller_request_meets_no_target_of_time(frames: int, met: str) -> None:
    cost = {"width": 256.0, "height": 256.0, "frames": float(frames), "warm_s": 3.0}
    assert markdown_table({"cost": cost}).splitlines()[2].endswith(f"| {met} |")
