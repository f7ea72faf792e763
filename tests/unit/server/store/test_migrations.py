"""A database of every earlier schema opens, with all that is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, insert, update

from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.state import JobState
from layert2v_server.store.database import open_database, read_transaction
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.rows import finished_row, new_row
from layert2v_server.store.tables import metadata

SPEC = GenerateSpec(prompt="a fox", seed=7)
FILES = [FileRecord(path=f"bg/{n}.exr", size_bytes=n, sha256=str(n) * 64) for n in (3, 4)]
FINISHED, QUEUED = "a" * 32, "b" * 32


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", "layert2v_server.store:migrations")
    return config


_NEWEST_FIRST = list(ScriptDirectory.from_config(alembic_config()).walk_revisions())
EARLIER = [script.revision for script in reversed(_NEWEST_FIRST[1:])]


def rows() -> dict[str, list[dict[str, Any]]]:
    """Return what a database holds, by table, with the columns of the present schema."""
    whose = {"owner": "anna", "request_digest": ""}
    finished = finished_row(new_row(FINISHED, SPEC, "", 1.0), FILES)
    return {
        "jobs": [
            {**whose, "request_id": "r1", **finished},
            {**whose, "request_id": "r2", **new_row(QUEUED, SPEC, "", 2.0)},
        ],
        "artifacts": [
            {
                "job_id": FINISHED,
                "position": position,
                "path": file.path,
                "size_bytes": file.size_bytes,
                "sha256": file.sha256,
                "untrusted": 0,
            }
            for position, file in enumerate(FILES)
        ],
    }


def write_database(path: Path, revision: str) -> None:
    """Make a database as a server with that schema has left it."""
    engine, config = create_engine(f"sqlite:///{path}"), alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        tables = MetaData()
        tables.reflect(connection)
        for name, values in rows().items():
            if name in tables.tables:
                table = tables.tables[name]
                for row in values:
                    known = {key: row[key] for key in row if key in table.c}
                    connection.execute(insert(table).values(known))
        if "totals" in tables.tables:  # a migration has made the row
            totals = tables.tables["totals"]
            used = totals.c.name == "used_bytes"
            connection.execute(update(totals).where(used).values(value=7))
    engine.dispose()


@pytest.mark.parametrize("revision", EARLIER)
def test_a_database_of_an_earlier_schema(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "jobs.sqlite3"
    write_database(path, revision)
    engine = open_database(path)
    with read_transaction(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    store = JobStore(engine)
    finished = store.get(FINISHED)
    assert (finished.state, finished.spec, finished.owner) == (JobState.SUCCEEDED, SPEC, "anna")
    assert store.list_artifacts(FINISHED, start=0, size=9) == FILES
    assert store.used_bytes() == 7
    store.create("anna", "r3", SPEC, SPEC)
    claimed = store.claim("worker", 60.0)
    assert claimed is not None
    assert claimed.id == QUEUED
    store.delete(FINISHED)
    assert store.used_bytes() == 0
    store.close()


def test_every_schema_follows_another() -> None:
    assert len(EARLIER) >= 2
    assert [script.down_revision for script in _NEWEST_FIRST][-1] is None
