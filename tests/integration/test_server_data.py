"""The data folder over starts of the server: nothing that lies there is lost by itself."""

from __future__ import annotations

import json
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from fakes.live_server import LiveServer, error_detail, live_server
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
    assert "they stay, and layert2v-server serve --rebuild" in server.log.read_text()
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
        assert again.spec.nearest  # what was shown once may be asked for again
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
    with live_server(data, keep_trash_days=0.0):
        assert list((data / "trash").iterdir()) == []


@pytest.mark.parametrize(("settings", "mode"), [({}, 0o700), ({"expose_local_paths": True}, 0o755)])
def test_the_data_folder_is_private(tmp_path: Path, settings: dict[str, bool], mode: int) -> None:
    data = tmp_path / "data"
    with live_server(data):
        assert data.stat().st_mode & 0o777 == 0o700
    data.chmod(0o755)  # as earlier versions left it
    with live_server(data, **settings):
        assert data.stat().st_mode & 0o777 == mode


def test_a_folder_that_is_removed_under_the_server_is_named(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as server:
        server.wait_for_end(server.submit().name)
        shutil.rmtree(tmp_path / "data" / "jobs")
        with pytest.raises(grpc.RpcError) as caught:
            server.submit()
        assert error_detail(caught.value).reason == "STORAGE_FAILED"
        (tmp_path / "data" / "jobs").mkdir()
        server.wait_for_end(server.submit().name)
        assert "Traceback" not in server.log.read_text()


def newer_version(data: Path) -> None:
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def replace_by_file(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).rename(folder / f"{name}_aside")
        (folder / name).write_text("a file")

    return edit


def replace_by_folder(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return edit


REFUSED = {
    "a database that is none": (write("jobs.sqlite3", b"x" * 9000), "Move it away and start with"),
    "a database that is cut": (write("jobs.sqlite3", b"SQLite format 3\0"), "cannot be used"),
    "a folder in place of the database": (replace_by_folder("jobs.sqlite3"), "cannot be used"),
    "a database of a newer version": (newer_version, "by a newer version"),
    "a lock that is none": (write("server.lock", b"x" * 9000), "The lock"),
    "a folder in place of the lock": (replace_by_folder("server.lock"), "The lock"),
    "a file in place of the jobs": (replace_by_file("jobs"), "The data folder cannot be used"),
    "a file in place of the uploads": (replace_by_file("uploads"), "cannot be used"),
}
TAKEN = {
    "an empty note of an upload": write(f"uploads/{uuid.UUID(int=1)}.json", b""),
    "a strange note of an upload": write("uploads/x.json", b"[1, 2]"),
    "a note of a job that is cut": write("jobs/notes.txt", b"{"),
    "a file in place of the trash": write("trash", b"x"),
    "an empty database": write("jobs.sqlite3", b""),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    with live_server(data) as server:
        server.wait_for_end(server.submit().name)
    return data


@pytest.mark.parametrize(("damage", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_damaged_data_folder_is_refused_in_a_sentence(
    whole: Path, tmp_path: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    damage(data)
    with pytest.raises(AssertionError, match="the server did not start") as caught:
        LiveServer(data)
    said = str(caught.value)
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("damage", TAKEN.values(), ids=TAKEN)
def test_a_server_starts_with_what_is_whole(
    whole: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    damage(data)
    with live_server(data) as server:
        assert "Traceback" not in server.log.read_text()
        server.wait_for_end(server.submit().name)
    assert stack_files(data) >= {data / path.relative_to(whole) for path in stack_files(whole)}


def test_an_owner_lists_jobs_of_a_version_without_limits(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole, data)
    with live_server(data) as server:
        for _ in range(4):
            server.wait_for_end(server.submit().name)
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as connection, connection:
        connection.execute(
            "UPDATE jobs SET spec = json_set(spec, '$.prompt', ?) WHERE sequence > 3", ["m" * 9000]
        )
        connection.execute(
            "UPDATE jobs SET spec = json_set(spec, '$.model', printf('%.*c', 4000000, 'x')) "
            "WHERE sequence = 2"
        )
    with live_server(data) as server:
        assert len(list_jobs(server)) == 5
        assert list_jobs(server)[3].error.reason == "JOB_DAMAGED"


def test_pages_weigh_bytes(tmp_path: Path) -> None:
    prompts = ["x" * 2000] * 2
    with live_server(tmp_path / "data", max_open_jobs=1000) as server:
        made = [
            server.submit(
                prompt="x" * 2000, background_prompt="y" * 2000, foreground_prompts=prompts
            )
            for _ in range(150)
        ]
        request = jobs_pb2.ListJobsRequest(page_size=500)
        first = server.call(server.jobs.ListJobs, request)
        assert first.ByteSize() < 1_200_000
        request.page_token = first.next_page_token
        rest = server.call(server.jobs.ListJobs, request)
    assert [job.name for job in (*first.jobs, *rest.jobs)] == [job.name for job in made[::-1]]
    assert rest.next_page_token == ""
