"""Listing and removing what is older than the settings say: the command, and a server that runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fakes.live_server import live_server
from layert2v_server.cli import main
from layert2v_server.store.retention import DAY_S, note_use

DAYS = 0.5 / DAY_S  # half a second


def test_what_is_old_is_listed_beside_a_server_and_removed_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, settings = tmp_path / "data", tmp_path / "settings.toml"
    settings.write_text(f"[server]\nkeep_jobs_days = {DAYS:.9f}\n")
    command = ["gc", "--config", str(settings), "--data", str(data)]
    with live_server(data) as server:
        job = server.wait_for_end(server.submit().name)
        note_use(data, time.time())
        time.sleep(0.6)
        assert main([*command, "--dry-run"]) == 0
        listed = capsys.readouterr().out
        assert f"job     {job.name} of local" in listed
        assert "1 things with" in listed
        assert "would be removed" in listed
        assert main(command) == 2
        assert "Another server is using this data folder" in capsys.readouterr().err
        assert server.read(server.artifacts(job.name)[0].name)
    folder = data / job.name
    assert folder.is_dir()
    assert main(command) == 0
    assert "were removed" in capsys.readouterr().out
    assert not folder.exists()
    assert main(command) == 0
    assert "0 things with 0 B were removed." in capsys.readouterr().out


def test_a_folder_without_a_server_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gc", "--data", str(tmp_path)]) == 2
    assert "There is no database of a server" in capsys.readouterr().err
