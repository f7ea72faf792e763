"""The table of metrics and targets."""

from __future__ import annotations

import pytest

from layert2v_engine.evaluation.summary import TABLE, markdown_table


def test_the_table_says_which_targets_are_met() -> None:
    groups = {"seen": {"recomposition_psnr_db": 34.0, "subject": 0.5}}
    lines = markdown_table(groups).splitlines()
    assert lines[2] == "| recomposition, PSNR | 34 dB | at least 33 dB | yes |"
    assert lines[3] == "| subject | 50.0 % | 90 % | **no** |"
    assert len(lines) == 4 < len(TABLE)


@pytest.mark.parametrize(
    ("frames", "warm_s", "met"),
    [(17, 3.0, "yes"), (17, 99.0, "**no**"), (9, 3.0, "asked for less")],
)
def test_a_smaller_request_meets_no_target_of_time(frames: int, warm_s: float, met: str) -> None:
    cost = {"width": 320.0, "height": 192.0, "frames": float(frames), "warm_s": warm_s}
    assert markdown_table({"cost": cost}).splitlines()[2].endswith(f"| {met} |")


@pytest.mark.parametrize(("held_out", "met"), [(0.71, "**no**"), (0.89, "yes")])
def test_held_out_scenes_are_measured_by_those_trained_on(held_out: float, met: str) -> None:
    groups = {"seen": {"subject": 0.98}, "held_out": {"subject": held_out}}
    line = markdown_table(groups).splitlines()[-1]
    assert line.startswith("| subject, held-out scenes |")
    assert line.endswith(f"| within 10 points | {met} |")


def test_sharpness_has_rows_by_layer() -> None:
    ratios = {f"gradient_{layer}_ratio": 0.6 for layer in ("comp", "bg", "fg")}
    lines = markdown_table({"against_real": ratios}).splitlines()[2:]
    assert [line.split(",")[0] for line in lines] == ["| comp", "| bg", "| fg"]
    assert [line.split("|")[-2].strip() for line in lines] == ["**no**", "**no**", ""]


@pytest.mark.parametrize(("ratio", "met"), [(0.84, "**no**"), (0.9, "yes"), (1.2, "**no**")])
def test_more_detail_than_real_clips_have_is_noise(ratio: float, met: str) -> None:
    lines = markdown_table({"against_real": {"gradient_comp_ratio": ratio}}).splitlines()
    assert lines[2].endswith(f"| 0.85x to 1.15x | {met} |")


def test_what_real_clips_have_is_shown_beside_the_same_of_the_model() -> None:
    groups = {"seen": {"subject": 1.0}, "real": {"heading": 0.89}}
    assert "of real clips" not in markdown_table(groups)
    groups["seen"]["heading"] = 0.5
    assert "| the same of real clips | 89.0 % |" in markdown_table(groups)
