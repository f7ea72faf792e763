"""Both kinds of database under the job store."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return an empty database, as ``open_database`` takes it."""
    if request.param == "sqlite":
        return tmp_path / "jobs.sqlite3"
    server = request.getfixturevalue("postgresql")
    return str(server.empty_database())
