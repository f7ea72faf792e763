"""Faults planted in a data set on disk, found by the real gates and detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.disc_sample import good_sample
from layert2v_engine.cli.main import main
from layert2v_engine.cli.vidlayer import _scores_file
from layert2v_engine.vidlayer.fault_trial import GOOD, read_trials
from layert2v_engine.vidlayer.faults import FAULTS
from layert2v_engine.vidlayer.movies import write_lossless

LAYERS = ("full", "background", "matte", "color", "shadow")


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    (root / "layout.toml").write_text(
        "".join(f'{name} = "{name}/{{clip}}.mkv"\n' for name in LAYERS)
    )
    for seed in (0, 1):
        sample = good_sample(seed)
        layer = sample.foregrounds[0]
        videos = (sample.full, sample.background, layer.matte, layer.color, layer.shadow)
        for name, video in zip(LAYERS, videos, strict=True):
            assert video is not None
            pixels = np.asarray((video * 255).round().byte().movedim(1, -1).numpy())
            path = root / name / f"disc_{seed}.mkv"
            write_lossless(path, pixels[..., 0] if pixels.shape[-1] == 1 else pixels, 24)
    return root


def test_a_table_tells_what_was_found(
    data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["vidlayer", "faults", str(data_set), "--each", "3", "--frames", "3"]
    command += ["--scores", str(tmp_path)]

    assert main(command) == 0

    table = capsys.readouterr().out
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    found = {row[0].strip("| "): row[1] for row in rows}
    assert set(found) == {GOOD, *FAULTS}
    assert found[GOOD] == "0 of 3"
    for fault in ("color_shift", "flicker", "wrong_caption", "swapped_layers", "cut_inside"):
        assert found[fault] == "3 of 3"
    (scores,) = tmp_path.glob(f"{data_set.name}_*.jsonl")
    assert set(read_trials(scores)) == {"disc_0", "disc_1", "disc_0_1"}
    scores.write_text(scores.read_text()[:-20])  # killed while it wrote: that clip is made again
    assert main(command) == 0
    assert capsys.readouterr().out == table


def test_too_few_clips_are_said(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vidlayer", "faults", str(data_set), "--each", "17"]) == 2
    assert "2 clips give 16 variants at most" in capsys.readouterr().err


def test_scores_of_two_sets_of_one_name_and_of_other_lengths_are_kept_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "set", tmp_path / "b" / "set"]

    names = {_scores_file(path, frames) for path in paths for frames in (2, 6)}

    assert len(names) == 4
    assert all(name.startswith("set_") for name in names)
