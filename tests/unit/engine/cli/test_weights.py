from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.tiny_model import write_tiny_model
from layert2v.stack import read as read_stack
from layert2v_engine.cli.main import main


def test_the_ledger_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "--weights", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "commercial: ask" in said
    assert "Where: on Hugging Face as facebook/sam2.1-hiera-large" in said
    assert main(["weights", "--commercial-only"]) == 0
    assert "commercial: ask" not in capsys.readouterr().out


def test_programs_read_it_and_the_exit_code_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "splitter", "--json", "--hash"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["networks"]
    assert (row["problem"], len(row["sha256"])) == ("", 64)
    assert main(["weights", "svor", "--weights", str(tmp_path)]) == 1


def test_a_model_without_terms_is_refused_where_commercial_use_must_be_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, out = write_tiny_model(tmp_path / "models"), tmp_path / "fox"
    generate = ["generate", "a fox", "--models", str(models), "--device", "cpu"]
    generate += ["--out", str(out), "--commercial-only"]
    assert main(generate) == 2
    assert "mini (not stated) is not used here" in capsys.readouterr().err
    assert not out.exists()
    (models / "mini" / "licence.toml").write_text('licence = "MIT"\ncommercial = "yes"\n')
    assert main(generate) == 0
    networks = read_stack(out).networks
    assert [(each.name, each.licence) for each in networks] == [
        ("mini", "MIT"),
        ("all-minilm-l6-v2", "Apache-2.0"),
    ]
    assert all(len(each.sha256) == 64 for each in networks)
    capsys.readouterr()
    assert main(["inspect", str(out)]) == 0
    assert "made with mini, MIT, commercial use: yes" in capsys.readouterr().out
