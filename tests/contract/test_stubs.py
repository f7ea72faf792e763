"""The committed stubs: they say what the contract says, on the newest and the oldest runtime."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2

REPOSITORY = Path(__file__).resolve().parents[2]
OLDEST = REPOSITORY / ".venv-oldest" / "bin" / "python"


def test_the_surface() -> None:
    files = (jobs_pb2, artifacts_pb2, server_pb2)
    services = [s for file in files for s in file.DESCRIPTOR.services_by_name.values()]
    surface = {
        service.full_name: [method.name for method in service.methods] for service in services
    }
    assert surface == {
        "layert2v.v1.JobService": [
            *("CreateJob", "GetJob", "ListJobs", "CancelJob", "DeleteJob", "WatchJob")
        ],
        "layert2v.v1.ArtifactService": [
            *("ListArtifacts", "ReadArtifact", "WriteArtifact", "QueryWrite"),
            *("DeleteUploads", "FindFiles"),
        ],
        "layert2v.v1.ServerService": ["GetServerInfo"],
    }


def round_trip(python: Path | str) -> str:
    program = Path(__file__).with_name("round_trip.py")
    done = subprocess.run(
        [python, "-W", "error", program],
        env={"PYTHONPATH": f"{REPOSITORY / 'proto'}:{REPOSITORY / 'client'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_on_this_environments_runtime() -> None:
    assert f"protobuf {version('protobuf')}" in round_trip(sys.executable)


def test_on_the_oldest_runtime() -> None:
    if not OLDEST.exists():
        pytest.skip("the oldest runtime is absent; make it with: scripts/setup oldest")
    assert "protobuf 3.20.3 grpcio 1.62" in round_trip(OLDEST)
