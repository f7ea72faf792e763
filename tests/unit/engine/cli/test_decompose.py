from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.moving_disc import disc_clip, write_clip
from layert2v.stack import read as read_stack
from layert2v_engine.cli.main import main


def test_footage_becomes_a_stack_that_is_refined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = disc_clip(frames=3)
    footage, matte = write_clip(tmp_path / "a", clip.source), write_clip(tmp_path / "m", clip.alpha)
    out = tmp_path / "stack"

    made = main(["decompose", str(footage), "--matte", str(matte), "--out", str(out)])
    refined = main(["refine", str(out), "--layer", "fg_01", "--matte", str(matte)])

    assert (made, refined) == (0, 0)
    assert [entry.action for entry in read_stack(out).history] == ["decompose", "refine"]
    lines = capsys.readouterr().err.splitlines()
    assert any("dB from the footage" in line for line in lines)
    assert sum("finding the subjects" in line for line in lines) == 1

    beside = ["--point", "1001:16,30", "--outside", "1001:80,10"]
    assert main(["refine", str(out), "--layer", "fg_01", *beside]) == 2
    assert "right already at every point" in capsys.readouterr().err


def test_a_pattern_names_footage(tmp_path: Path) -> None:
    clip = disc_clip(frames=3)
    footage, matte = write_clip(tmp_path / "a", clip.source), write_clip(tmp_path / "m", clip.alpha)
    options = ["--matte", str(matte), "--frames", "1002-1003", "--out", str(tmp_path / "s")]

    assert main(["decompose", str(footage / "shot.####.exr"), *options]) == 0
    assert read_stack(tmp_path / "s").start_frame == 1002


def test_each_shot_of_an_edit_becomes_a_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = disc_clip(frames=3)
    pictures = np.concatenate((clip.source, 3 - 2 * clip.source[::-1]))
    footage = write_clip(tmp_path / "a", pictures)
    matte = write_clip(tmp_path / "m", np.concatenate((clip.alpha, clip.alpha[::-1])))
    options = ["--matte", str(matte), "--out", str(tmp_path / "s")]

    assert main(["decompose", str(footage), *options]) == 2
    assert "with Split at Cuts (--split-at-cuts): frames 1001-1003, 1004" in capsys.readouterr().err
    assert main(["decompose", str(footage), *options, "--split-at-cuts"]) == 0

    stacks = [read_stack(tmp_path / "s" / name) for name in ("shot_01", "shot_02")]
    assert [(each.start_frame, each.frames) for each in stacks] == [(1001, 3), (1004, 3)]
    assert [each.name for each in stacks] == ["a_shot_01", "a_shot_02"]


def test_an_edit_may_be_one_shot(tmp_path: Path) -> None:
    clip = disc_clip(frames=3)
    pictures = np.concatenate((clip.source, 3 - 2 * clip.source[::-1]))
    footage = write_clip(tmp_path / "a", pictures)
    matte = write_clip(tmp_path / "m", np.concatenate((clip.alpha, clip.alpha[::-1])))
    options = ["--matte", str(matte), "--out", str(tmp_path / "s"), "--ignore-cuts"]

    assert main(["decompose", str(footage), *options]) == 0
    assert read_stack(tmp_path / "s").frames == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frames", "12"], "no range of frames"),
        (["--box", "1001:1,2,3"], "not of the form 1001:120,80,400,300"),
        (["--point", "x:1,2"], "not of the form 1001:320,200"),
    ],
)
def test_options_say_what_they_are_like(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["decompose", "shot.mov", "--out", "stack", *options])

    assert message in capsys.readouterr().err


def test_hints_need_one_subject(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--subject", "dog", "--subject", "ball", "--box", "1001:1,2,3,4"]

    assert main(["decompose", "shot.mov", "--out", "stack", *options]) == 2
    assert "which of several subjects" in capsys.readouterr().err
