"""A backup of a server that runs, and a server on what was restored."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from fakes.postgresql import PostgresServer, find_programs
from fakes.stack_requests import upload
from layert2v.v1 import artifacts_pb2, jobs_pb2
from layert2v_server.cli import main

DATA = b"a plate"


def list_jobs(server: LiveServer) -> dict[str, Any]:
    jobs = server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs
    return {job.name: job for job in jobs}


def contents(server: LiveServer, job: str) -> dict[str, str]:
    """Return the SHA-256 of each file of a job, as it is read over gRPC."""
    found = {}
    for file in server.artifacts(job):
        data = b"".join(answer.chunk.data for answer in server.read(file.name))
        found[file.path] = hashlib.sha256(data).hexdigest()
        assert found[file.path] == file.sha256
    return found


def test_a_restored_server_has_what_the_running_one_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, data = tmp_path / "backup", tmp_path / "data"
    with live_server(data) as server:
        gone, kept = (server.wait_for_end(server.submit(prompt=p).name) for p in ("a fox", "owls"))
        files = contents(server, kept.name)
        upload(server, DATA)
        assert main(["backup", str(backup), "--data", str(data)]) == 0
        server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=gone.name))
        running = server.submit(behaviour=Behaviour(step_s=0.5), steps=1000)
        server.wait(running.name, lambda job: job.attempt == 1)
        capsys.readouterr()
        assert main(["backup", str(backup), "--data", str(data)]) == 0
        assert capsys.readouterr().out.startswith(f"2 jobs with {len(files)} files are backed up")
        server.cancel(running.name)
    restored = tmp_path / "restored"
    assert main(["restore", str(backup), "--data", str(restored)]) == 0
    with live_server(restored) as server:
        jobs = list_jobs(server)
        assert jobs.keys() == {kept.name, running.name}
        assert contents(server, kept.name) == files
        assert jobs[running.name].state in (jobs_pb2.JOB_STATE_QUEUED, jobs_pb2.JOB_STATE_RUNNING)
        asked = artifacts_pb2.FindFilesRequest(sha256=[hashlib.sha256(DATA).hexdigest()])
        assert not server.call(server.files.FindFiles, asked).missing
        again = server.submit(prompt="owls", request_id=str(uuid.uuid4()))
        server.cancel(running.name)
        assert server.wait_for_end(again.name).artifact_count == len(files)


def test_what_pg_dump_kept_of_a_running_server_is_served_again(
    tmp_path: Path, postgresql: PostgresServer
) -> None:
    programs, url, dump = find_programs(), postgresql.create_database(), tmp_path / "jobs.dump"
    assert programs is not None
    with live_server(tmp_path / "data", database=url) as server:
        kept = server.wait_for_end(server.submit().name)
        files = contents(server, kept.name)
        running = server.submit(behaviour=Behaviour(step_s=0.5), steps=1000)
        server.wait(running.name, lambda job: job.attempt == 1)
        subprocess.run([programs / "pg_dump", "--format=custom", f"--file={dump}", url], check=True)
        shutil.copytree(server.data, tmp_path / "restored")
        late = server.wait_for_end(server.cancel(running.name).name)
    restored = postgresql.create_database()
    subprocess.run([programs / "pg_restore", f"--dbname={restored}", dump], check=True)
    with live_server(tmp_path / "restored", database=restored) as server:
        jobs = list_jobs(server)
        assert jobs.keys() == {kept.name, late.name}
        assert contents(server, kept.name) == files
        again = server.wait(late.name, lambda job: job.state == jobs_pb2.JOB_STATE_RUNNING)
        assert again.attempt > 1
