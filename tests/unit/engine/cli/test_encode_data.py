from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.cli.main import main


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--part", "3/2"], "'3/2' is no part"),
        (["--part", "some"], "'some' is no part"),
        ([], "There is no data set of a known form"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    command = ["encode-data", str(tmp_path / "data"), *places, "--size", "832x480x81"]
    assert main([*command, "--device", "cpu", *options]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
