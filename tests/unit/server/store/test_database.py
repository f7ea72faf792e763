"""The database: migrations, and the lock of one server."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert

from layert2v.spec import GenerateSpec
from layert2v_server.errors import (
    ConfigError,
    StorageFailed,
)
from layert2v_server.store.database import open_database, read_transaction
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.rows import new_row
from layert2v_server.store.sqlite import exclusive_lock
from layert2v_server.store.tables import jobs, metadata

SPEC = GenerateSpec(prompt="a fox", seed=7)


def test_migrations_create_the_tables(database: Path | str) -> None:
    engine = open_database(database)
    with read_transaction(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_jobs_of_the_first_schema_are_generations(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    config = Config()
    config.set_main_option("script_location", "layert2v_server.store:migrations")
    whose = {"owner": "anna", "request_id": "r1", "request_digest": ""}
    row = {**whose, **new_row("a" * 32, SPEC, "", 1.0)}
    later = ("kind", "source", "priority", "work_kind", "work_amount")
    before = {name: value for name, value in row.items() if name not in later}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(insert(jobs).values(before))
    engine.dispose()
    opened = open_database(tmp_path / "jobs.sqlite3")
    job = JobStore(opened).get("a" * 32)
    assert (job.spec, job.source) == (SPEC, "")
    opened.dispose()


def test_the_lock_admits_one_server(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive_lock(lock), pytest.raises(ConfigError), exclusive_lock(lock):
        pass
    with exclusive_lock(lock):
        pass


def test_a_database_that_is_moved_away_takes_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    store = JobStore(open_database(path))
    store.create("anna", "r1", SPEC, SPEC)
    path.rename(tmp_path / "aside")
    with pytest.raises(StorageFailed, match="moved away"):
        store.create("anna", "r2", SPEC, SPEC)
    assert not path.exists()
    path.write_bytes(b"")
    with pytest.raises(StorageFailed, match="replaced"):
        store.create("anna", "r2", SPEC, SPEC)
    (tmp_path / "aside").replace(path)
    store.create("anna", "r2", SPEC, SPEC)
    assert len(store.list_ids()) == 2
    store.close()


def test_a_name_of_a_folder_is_no_address(tmp_path: Path) -> None:
    folder = tmp_path / "100%3f ?mode=memory#x"
    folder.mkdir()
    open_database(folder / "jobs.sqlite3").dispose()
    assert (folder / "jobs.sqlite3").is_file()
