"""The data folder over starts of the server: nothing that lies there is lost by itself."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.live_server import LiveServer, live_server
from layert2v.v1 import jobs_pb2


def stack_files(data: Path) -> set[Path]:
    return {path for path in data.glob("jobs/*/stack/**/*") if path.is_file()}


def list_jobs(server: LiveServer) -> list[jobs_pb2.Job]:
    return list(server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs)


def move_database(data: Path) -> None:
    for path in data.glob("jobs.sqlite3*"):
        path.rename(path.with_name(f"aside_{path.name}"))


def test_without_its_database_a_server_removes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_server(data) as server:
        job = server.wait_for_end(server.submit().name)
        artifacts = server.artifacts(job.name)
    before = stack_files(data)
    move_database(data)
    with live_server(data) as server:
        assert list_jobs(server) == []
        server.wait_for_end(server.submit().name)
    assert before <= stack_files(data)
    assert "nothing is removed; layert2v-server serve --rebuild" in server.log.read_text()
    with live_server(data, rebuild=True) as server:
        again = server.get(job.name)
        assert (again.spec, again.state) == (job.spec, jobs_pb2.JOB_STATE_SUCCEEDED)
        assert again.create_time == job.create_time
        assert server.artifacts(job.name) == artifacts
        assert len(list_jobs(server)) == 2
    assert before <= stack_files(data)


def test_stacks_without_a_note_come_back_too(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_server(data) as server:
        job = server.wait_for_end(server.submit(prompt="an owl").name)
    (note,) = data.glob("jobs/*/job.json")
    assert json.loads(note.read_text())["owner"] == "local"
    note.unlink()
    broken = data / "jobs" / ("f" * 32) / "stack"
    broken.mkdir(parents=True)
    (broken / "stack.json").write_text("{")
    move_database(data)
    with live_server(data, rebuild=True) as server:
        (again,) = list_jobs(server)
        assert (again.name, again.spec.prompt) == (job.name, "an owl")
        assert len(server.artifacts(job.name)) == job.artifact_count


def test_folders_that_the_database_does_not_know_go_into_the_trash(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_server(data) as server:
        server.wait_for_end(server.submit().name)
    unknown = data / "jobs" / ("f" * 32)
    unknown.mkdir()
    (unknown / "picture.exr").write_text("x")
    with live_server(data) as server:
        assert len(list_jobs(server)) == 1
    (kept,) = (data / "trash").iterdir()
    assert (kept / "picture.exr").read_text() == "x"
    with live_server(data, keep_trash_days=-1.0):
        assert list((data / "trash").iterdir()) == []


def test_the_data_folder_is_private(tmp_path: Path) -> None:
    with live_server(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
