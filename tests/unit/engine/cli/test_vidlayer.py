from __future__ import annotations

import json
from pathlib import Path

import pytest

from layert2v.command_options import EXIT_USAGE
from layert2v_engine.cli.main import main
from layert2v_engine.vidlayer.report import REPORT

RECORD = {
    "clip": "a_000000", "kept": False, "split": "train", "source": "a.mp4", "licence": "CC0-1.0",
    "captions": {"full": "a dog"}, "reasons": ["static: 0 is below 0.0008"], "quarantine": {},
}  # fmt: skip


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    (tmp_path / "catalogue.jsonl").write_text(json.dumps(RECORD) + "\n")
    return tmp_path


def test_report_prints_where_its_page_is(
    data_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vidlayer", "report", str(data_set)]) == 0

    assert capsys.readouterr().out == f"{data_set / REPORT}\n"
    assert "<td>static</td><td>1</td>" in (data_set / REPORT).read_text()


def test_inspect_prints_what_is_kept(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vidlayer", "inspect", str(data_set)]) == 0

    assert "0 of 0 clips kept, 0 of them to train on" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [["inspect"], ["report"], ["pack", "--shards", "shards"]], ids=lambda each: each[0]
)
def test_a_folder_without_a_data_set_is_refused(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vidlayer", options[0], str(tmp_path), *options[1:]]) == EXIT_USAGE

    assert "There is no built data set in" in capsys.readouterr().err


def test_latents_need_a_run_and_a_size(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = ["vidlayer", "pack", str(data_set), "--shards", "shards"]

    assert main([*pack, "--size", "64x64x5"]) == EXIT_USAGE

    assert "Latents need both --run and --size." in capsys.readouterr().err
