"""What every test may ask for: the folders of shared material, and a quiet, repeatable torch.

Also how tests are grouped where several processes run them with ``--dist loadgroup``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fakes.postgresql import PostgresServer

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


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks at the same moment
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a Blender in one process, those of the Ray cluster, and those of a file."""
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        callspec = getattr(item, "callspec", None)
        blender = callspec.params.get("bare_blender") if callspec else None
        cluster = "cluster" if "cluster" in getattr(item, "fixturenames", ()) else None
        item.add_marker(pytest.mark.xdist_group(blender or cluster or item.path.stem))


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
