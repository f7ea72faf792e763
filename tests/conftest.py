"""What every test may ask for: the folders of shared material, and a quiet, repeatable torch.

Also which tests stay together where several processes run them with ``--dist loadfile``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fakes.postgresql import PostgresServer
    from fakes.s3_server import S3Server

REPOSITORY = Path(__file__).resolve().parent.parent

# One thread for torch, here and in all processes of the tests: the same sums everywhere, and no
# fight for cores. Said before it is imported, which tests that do without it need not wait for.
os.environ["OMP_NUM_THREADS"] = "1"

try:
    import hypothesis
except ModuleNotFoundError:  # the contract's and the client's tests run without it
    pass
else:
    # A busy machine is no fault: an example may take as long as it takes.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process; all of a Blender too, and all of the Ray cluster.

    A Blender is installed once in each process. The jobs of the two that have most tests are a part
    of their own, which the processes of the other two take when they are through.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if blender := re.search(r"\[(4\.2|4\.5|5\.0|5\.2)\b", test):
                if not file.startswith("tests/hosts/"):
                    return file
                is_apart = file.endswith("test_addon_jobs.py") and blender[1] in ("4.2", "5.2")
                return f"{blender[1]} jobs" if is_apart else blender[1]
            return "cluster" if re.search(r"chaos/\w+_nodes\.py$", file) else file

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set {variable} to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Sample clips and reference dumps kept outside the repository; skips where absent."""
    return _folder("LAYERT2V_SHARED", REPOSITORY.parent / "shared")


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Return reference dumps of the authors' network; skips where they are absent."""
    return _folder("LAYERT2V_PARITY", REPOSITORY.parent / "shared" / "parity")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """Return a PostgreSQL server of the tests' own; skips where none is installed."""
    from fakes.postgresql import absence, postgres_server

    if absence():
        pytest.skip(absence())
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Return an S3-compatible server of the tests' own; skips where none is installed."""
    from fakes.s3_server import absence, s3_server

    if absence():
        pytest.skip(absence())
    with s3_server() as server:
        yield server
