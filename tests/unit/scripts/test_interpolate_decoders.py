from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes.scripts import load_script

interpolate = load_script("interpolate_decoders")


def write_decoders(folder: Path, value: float) -> Path:
    for name in interpolate.WEIGHTS:
        (folder / name).parent.mkdir(parents=True)
        save_file({"weight": torch.full((2,), value)}, folder / name, metadata={"of": "a test"})
    (folder / interpolate.MODEL / "config.json").write_text("{}")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["interpolate_decoders", *map(str, words)])
    interpolate.main()


def test_both_networks_are_that_share_of_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, sharp = (write_decoders(tmp_path / n, v) for n, v in (("soft", 1.0), ("sharp", 3.0)))
    out = tmp_path / "finish"
    run(monkeypatch, soft, sharp, "0.25", "--out", out)
    for name in interpolate.WEIGHTS:
        assert load_file(out / name)["weight"].tolist() == [1.5, 1.5]
    assert (out / interpolate.MODEL / "config.json").exists()


def test_a_folder_that_is_there_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    soft = write_decoders(tmp_path / "soft", 1.0)
    with pytest.raises(SystemExit):
        run(monkeypatch, soft, soft, "0.5", "--out", soft)
    assert "name a new folder" in capsys.readouterr().err
