"""The builder with real footage, a real decomposition, and a real ``kill -9``."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.moving_disc import disc_clip
from layert2v.command_options import EXIT_USAGE
from layert2v_engine.cli.main import EXIT_INTERRUPTED, main
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.vidlayer.build import (
    BuildProgress,
    ProgressMeter,
    inspect_again,
    lock_data_set,
)
from layert2v_engine.vidlayer.measures import measure_sample
from layert2v_engine.vidlayer.movies import write_h264
from layert2v_engine.vidlayer.plan import BuildPlan
from layert2v_engine.vidlayer.readers import open_data_set, read_sample
from layert2v_engine.vidlayer.readers.authors import AuthorsFolder
from layert2v_engine.vidlayer.readers.own import OwnDataSet
from layert2v_engine.vidlayer.report import write_report
from layert2v_engine.vidlayer.thresholds import Thresholds

LENIENT = """[clip.motion_score_global_mean]
max = 1.0
[inspect.plate_psnr_db]
min = 0.0
[inspect.subject_left_share]
max = 1.0
[inspect.recomposition_psnr_db]
min = 20.0
"""
FRAMES = 2
# Its children start with everything imported, which takes longer than what they do.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["layert2v_engine.vidlayer.build", "layert2v_engine.engine"])


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    (folder / "thresholds.toml").write_text(LENIENT)
    (folder / "sources.toml").write_text('["."]\nlicence = "CC0-1.0"\n')
    pictures = encode(disc_clip(frames=FRAMES).source).clip(0, 1) * 255
    write_h264(folder / "disc.mp4", pictures.round().astype(np.uint8), 24)
    (folder / "broken.mp4").write_bytes(b"no movie")
    return folder


def arguments(footage: Path, root: Path) -> list[str]:
    args = ["vidlayer", "build", str(footage), "--out", str(root), "--frames", str(FRAMES)]
    return [*args, "--thresholds", str(footage / "thresholds.toml")]


@pytest.fixture(scope="module")
def data_set(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "set"
    assert main(arguments(footage, root)) == 0
    return root


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and path.name != "report.html"
    }


def test_a_kept_clip_reads_as_our_form_and_as_the_authors(data_set: Path) -> None:
    records = [json.loads(each) for each in (data_set / "catalogue.jsonl").read_text().splitlines()]
    (own,) = open_data_set(data_set).samples
    (folder,) = AuthorsFolder(data_set / "clips").samples
    ours, theirs = read_sample(own), read_sample(folder)

    assert [each["kept"] for each in records] == [False, True]
    assert records[0]["quarantine"]["stage"] == "clip"
    assert records[1]["licence"] == "CC0-1.0"
    assert records[1]["captions"]["by"] == "template"
    assert ours.foregrounds[0].shadow is not None
    assert ours.foregrounds[0].light is not None
    assert measure_sample(ours)["recomposition_psnr_db"] > 50
    assert folder.captions == own.captions
    assert theirs.full.shape == ours.full.shape == (FRAMES, 3, 64, 96)
    assert float((theirs.full - ours.full).abs().mean()) < 0.02
    lines = [data_set / "train.jsonl", data_set / "held_out.jsonl"]
    (line,) = [
        each for path in lines if path.stat().st_size for each in open_data_set(path).samples
    ]
    assert read_sample(line).full.equal(theirs.full)
    assert len(OwnDataSet(data_set, records[1]["split"]).samples) == 1


def test_a_second_run_changes_nothing(footage: Path, data_set: Path) -> None:
    before = contents(data_set)

    assert main(arguments(footage, data_set)) == 0

    assert contents(data_set) == before


def interrupt(footage: Path, root: Path, stage: str, number: int) -> int | None:
    """Run the builder in a process, and send it a signal when a stage has just finished."""
    process = PROCESSES.Process(target=run_builder, args=(arguments(footage, root),))
    process.start()
    while process.is_alive() and not list(root.glob(f"work/*/{stage}.json")):
        time.sleep(0.002)
    assert process.pid
    os.kill(process.pid, number)
    process.join()
    return process.exitcode


def run_builder(args: list[str]) -> None:
    torch.set_num_threads(1)  # as in this process: sums depend on it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    sys.exit(main(args))


def test_killed_and_interrupted_runs_end_with_the_same_data_set(
    footage: Path, data_set: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"

    assert interrupt(footage, root, "clip", signal.SIGKILL) == -signal.SIGKILL
    assert interrupt(footage, root, "annotate", signal.SIGINT) == EXIT_INTERRUPTED
    assert interrupt(footage, root, "cut", signal.SIGKILL) == -signal.SIGKILL
    finished = [path.name for path in root.glob("work/disc*/*.json")]
    assert main(arguments(footage, root)) == 0

    assert {"clip.json", "annotate.json", "cut.json"} <= set(finished)
    assert contents(root) == contents(data_set)


def test_a_folder_in_use_is_refused(
    footage: Path, data_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock_data_set(data_set):
        assert main(arguments(footage, data_set)) == EXIT_USAGE

    assert "Another process is at work on" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "known"), [("frames", FRAMES), ("subjects", 1)])
def test_other_frames_or_subjects_than_those_of_the_data_set_are_refused(
    footage: Path, data_set: Path, capsys: pytest.CaptureFixture[str], option: str, known: int
) -> None:
    other = [f"--{option}", "3", "--height", "480"]

    assert main([*arguments(footage, data_set), *other]) == EXIT_USAGE

    assert f"were cut with {option} {known}, and now {option} 3 is asked" in capsys.readouterr().err


def test_other_thresholds_drop_and_take_back_a_clip(data_set: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text("[inspect.covered_share]\nmin = 0.9\n")
    lenient = tmp_path / "lenient.toml"
    lenient.write_text(LENIENT)
    before = contents(data_set)

    plans = [
        BuildPlan(root=data_set, thresholds=Thresholds.load(path)) for path in (strict, lenient)
    ]
    stages = [plan.make_stage("inspect") for plan in plans]

    dropped = inspect_again(data_set, stages[0], lambda _: None)
    assert dropped["kept"] == 0
    assert "subject_size" in write_report(data_set).read_text()
    assert not list((data_set / "clips").glob("disc*"))
    inspect_again(data_set, stages[1], lambda _: None)
    assert contents(data_set) == before


def test_progress_tells_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown: list[BuildProgress] = []
    meter = ProgressMeter(shown.append)

    meter.show("clip", 0, 9)
    now[0] = 106.0
    meter.show("clip", 3, 9)
    meter.show("layers", 0, 4)

    assert [each.eta_s for each in shown] == [None, 12.0, None]
