"""Servers of one PostgreSQL database: who is alone, what they learn of each other."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.postgresql import PostgresServer
from layert2v.spec import GenerateSpec
from layert2v_server.domain.job import Progress
from layert2v_server.errors import ConfigError
from layert2v_server.store.claims import claim_folder
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
from layert2v_server.store.change_feed import ChangeFeed  # noqa: E402

SPEC = GenerateSpec(prompt="a fox", seed=7)
TIMEOUT_S = 20.0


@pytest.fixture
def url(postgresql: PostgresServer) -> str:
    return postgresql.empty_database()


@contextlib.contextmanager
def listening(feed: ChangeFeed) -> Iterator[queue.SimpleQueue[str | None]]:
    """Collect what a feed notices; the first is that anything may have changed."""
    noticed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    feed.share()
    feed.start(noticed.put)
    try:
        assert noticed.get(timeout=TIMEOUT_S) is None
        yield noticed
    finally:
        feed.close()


def test_changes_of_other_servers_are_noticed(url: str) -> None:
    own, other = (JobStore(open_database(url, sender=name)) for name in ("one", "two"))
    with listening(ChangeFeed(url, "one")) as noticed:
        own.create("anna", "r1", SPEC, SPEC)
        job = other.create("anna", "r2", SPEC, SPEC)
        assert noticed.get(timeout=TIMEOUT_S) == ""
        first = other.claim("gpu", 30.0)
        assert first is not None
        assert {noticed.get(timeout=TIMEOUT_S) for _ in range(2)} == {"", first.id}
        other.record_progress(first.id, 1, Progress(fraction=0.5))
        assert noticed.get(timeout=TIMEOUT_S) == first.id
        own.cancel(job.id)
    assert noticed.empty()
    own.close()
    other.close()


def test_a_feed_whose_connection_breaks_goes_on(url: str) -> None:
    store = JobStore(open_database(url, sender="two"))
    with listening(ChangeFeed(url, "one")) as noticed:
        end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        with psycopg.connect(url) as connection:
            connection.execute(end)
        assert noticed.get(timeout=TIMEOUT_S) is None  # something may have been missed
        store.create("anna", "r1", SPEC, SPEC)
        assert noticed.get(timeout=TIMEOUT_S) == ""
        other = ChangeFeed(url, "three")
        assert not other.is_alone
        other.close()
    store.close()


def test_the_first_server_is_alone_until_it_shares(url: str) -> None:
    first = ChangeFeed(url, "one")
    assert first.is_alone
    first.share()
    second = ChangeFeed(url, "two")
    assert (first.is_alone, second.is_alone) == (False, False)
    first.close()
    second.close()
    third = ChangeFeed(url, "three")
    assert third.is_alone
    third.close()


def test_a_server_that_has_left_holds_no_lock(url: str) -> None:
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(5):
            feed = ChangeFeed(url, "one")
            assert connection.execute(locks).fetchone() == (1,)
            feed.close()
            assert connection.execute(locks).fetchone() == (0,)


def test_only_a_server_that_is_alone_migrates(url: str) -> None:
    with pytest.raises(ConfigError, match="of another version"):
        open_database(url, is_alone=False)
    open_database(url).dispose()
    open_database(url, is_alone=False).dispose()


def test_a_server_must_see_the_files_of_its_database(url: str, tmp_path: Path) -> None:
    engine = open_database(url)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    claim_folder(engine, first, may_replace=False, is_alone=True)
    claim_folder(engine, first, may_replace=False, is_alone=False)
    for may_replace, is_alone in ((False, True), (False, False), (True, False)):
        with pytest.raises(ConfigError, match="not in this data folder"):
            claim_folder(engine, second, may_replace=may_replace, is_alone=is_alone)
    claim_folder(engine, second, may_replace=True, is_alone=True)
    with pytest.raises(ConfigError):
        claim_folder(engine, first, may_replace=False, is_alone=True)
    engine.dispose()
