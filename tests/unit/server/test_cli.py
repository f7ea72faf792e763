"""The server's command line: settings it shows, errors in one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from layert2v_server.cli import main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--until-stdin-ends"], "standard input cannot be waited for"),
        (["--data", "/dev/null/data"], "cannot be made: Not a directory"),
    ],
)
def test_system_errors_are_printed_as_one_line(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    command = [sys.executable, "-m", "layert2v_server", "serve", "--address", "127.0.0.1:0"]
    command += ["--data", str(tmp_path), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert sentence in done.stderr


def test_config_errors_are_printed_as_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--address", "0.0.0.0:0", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert said.endswith(".")


def test_terms_of_use_are_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--weights", str(tmp_path / "weights"), "--commercial-only"]
    assert main(["serve", "--data", str(tmp_path), *options, "--show-config"]) == 0
    settings = tomllib.loads(capsys.readouterr().out)["server"]
    assert settings["weights"] == str(tmp_path / "weights")
    assert settings["commercial_only"] is True


def test_show_config_prints_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--data", str(tmp_path), "--device", "cpu", "--show-config"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["server"]["data"] == str(tmp_path)
