"""URLs of databases, and errors that say nothing that they must not."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import text

from layert2v.spec import GenerateSpec
from layert2v_server.errors import ConfigError, InvalidArgument, JobNotFound, StorageFailed
from layert2v_server.store.database import open_database, read_transaction, write_transaction
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.postgresql import hide_password, parse_url

SECRET = "s3cret"  # noqa: S105


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{SECRET}@host/jobs",
        f"postgresql://u:{SECRET}/x@host/jobs",
        f"postgresql://u:a@{SECRET}@host:54:32/jobs",
        f"postgresql://u:{SECRET}@host:{SECRET}/jobs",
        SECRET,
        "",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_database(url)
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"


def test_people_see_a_url_without_its_password() -> None:
    url = f"postgres://anna:{SECRET}@db:5433/jobs?sslmode=require&password={SECRET}"
    assert hide_password(url) == "postgresql://anna:***@db:5433/jobs"
    assert parse_url(url).password == SECRET


def test_a_database_that_cannot_be_reached_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match=r"postgresql://anna:\*\*\*@127.0.0.1:1/jobs cannot"):
        open_database(f"postgresql://anna:{SECRET}@127.0.0.1:1/jobs")
    assert SECRET not in caplog.text


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_errors_name_no_values(database: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_database(database)
    twice = text("INSERT INTO totals (name, value) VALUES (:name, 1), (:name, 1)")
    caplog.set_level(logging.WARNING)
    with pytest.raises(StorageFailed) as caught, write_transaction(engine) as connection:
        connection.execute(twice, {"name": SECRET})
    assert "23505" in caught.value.message
    assert SECRET not in caught.value.message + caplog.text
    engine.dispose()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_view_stays_as_it_was(database: str) -> None:
    engine = open_database(database)
    count = text("SELECT count(*) FROM totals")
    with read_transaction(engine) as view:
        before = view.execute(count).scalar_one()
        with write_transaction(engine) as connection:
            connection.execute(text("INSERT INTO totals (name, value) VALUES ('x', 1)"))
        assert view.execute(count).scalar_one() == before
    engine.dispose()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_it_cannot_store_is_not_tried_again(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = JobStore(open_database(database))
    spec = GenerateSpec(prompt="a fox", seed=7)
    with pytest.raises(JobNotFound):
        store.get("a\0")
    with pytest.raises(InvalidArgument):
        store.create("anna", "r1", spec, spec, source="a\0")
    with pytest.raises(InvalidArgument):
        store.find_by_hash("anna", {"\0"})
    with pytest.raises(InvalidArgument):
        store.list_page("anna", size=1, before=10**17)
    assert store.list_ids() == set()
    assert caplog.text == ""  # or any caller could fill the log
    store.close()
