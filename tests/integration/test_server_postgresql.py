"""A real server whose jobs are in a real PostgreSQL."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from fakes.postgresql import PostgresServer
from layert2v.stack import read
from layert2v.v1 import jobs_pb2
from layert2v_server.cli import main
from layert2v_server.store.retention import DAY_S, note_use

SLOW = Behaviour(step_s=0.05, frame_s=0.02)
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED


def test_jobs_survive_the_kill_of_their_server(
    postgresql: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql.empty_database()
    first = LiveServer(tmp_path / "data", database=url)
    done = first.wait_for_end(first.submit().name)
    with pytest.raises(AssertionError, match="are not in this data folder"):
        LiveServer(tmp_path / "other", database=url)
    check_commands(url, tmp_path, done.name, capsys)
    running = first.submit(behaviour=SLOW, steps=60)
    first.wait(running.name, lambda job: job.progress.stage == "denoise")
    first.kill()
    with live_server(tmp_path / "data", database=url) as second:
        job = second.wait_for_end(running.name)
        assert (job.state, job.attempt) == (SUCCEEDED, 2)
        read(Path(job.local_path))
        assert second.get(done.name) == done
        assert second.unpublished_files() == []


def check_commands(url: str, folder: Path, ended: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Check the commands of an operator beside a running server."""
    settings, data = folder / "gc.toml", ["--database", url, "--data", str(folder / "data")]
    settings.write_text(f"[server]\nkeep_jobs_days = {0.001 / DAY_S:.12f}\n")
    note_use(folder / "data", time.time())
    assert main(["gc", "--dry-run", "--config", str(settings), *data]) == 0
    assert f"job     {ended} of local" in capsys.readouterr().out
    assert main(["gc", *data]) == 0  # with the settings as they are, nothing is old
    assert "0 things" in capsys.readouterr().out
    assert main(["gc", "--database", url, "--data", str(folder)]) == 2
    assert "are not in this data folder" in capsys.readouterr().err
    assert main(["quarantine", "list", *data]) == 0
    assert "0 jobs are in quarantine." in capsys.readouterr().out
    for command in ("backup", "restore"):
        assert main([command, str(folder / "copy"), *data]) == 2
        assert "pg_dump" in capsys.readouterr().err
    assert not (folder / "copy").exists()


def test_jobs_survive_a_crash_of_the_database(postgresql: PostgresServer, tmp_path: Path) -> None:
    url = postgresql.empty_database()
    with live_server(tmp_path / "data", database=url, lease_s=30.0) as server:
        job = server.submit(behaviour=SLOW, steps=20)
        server.wait(job.name, lambda job: job.progress.stage == "denoise")
        postgresql.stop()
        time.sleep(0.3)
        postgresql.start()
        job = server.wait_for_end(job.name)
        assert (job.state, job.attempt) == (SUCCEEDED, 1)
        assert "Traceback" not in server.log.read_text()


def test_a_lost_database_is_rebuilt_from_the_folder(
    postgresql: PostgresServer, tmp_path: Path
) -> None:
    with live_server(tmp_path / "data") as server:  # on SQLite, as before a move to PostgreSQL
        done = server.wait_for_end(server.submit().name)
    url = postgresql.empty_database()
    with live_server(tmp_path / "data", database=url, rebuild=True) as server:
        job = server.get(done.name)
        assert (job.spec, job.state) == (done.spec, SUCCEEDED)
