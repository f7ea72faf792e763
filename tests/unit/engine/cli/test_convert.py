from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fakes.wan_weights import write_wan_folder
from layert2v_engine.cli.main import main
from layert2v_engine.model.checkpoint import load_transformer


def test_wan_weights_become_a_transformer_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = write_wan_folder(tmp_path / "wan"), tmp_path / "transformer"
    assert main(["convert", str(base), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    theirs = load_file(base / "diffusion_pytorch_model.safetensors")
    converted = load_transformer(out).blocks[0].attn1.to_q.weight
    assert torch.equal(converted, theirs["blocks.0.self_attn.q.weight"])


def test_what_cannot_be_converted_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path), "--out", str(tmp_path / "new")]) == 2
    assert "config.json" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_folder_with_files_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["convert", str(tmp_path / "wan"), "--out", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
