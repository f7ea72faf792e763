"""Who holds which object: shared while somebody else holds it, free when nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from layert2v_server.store.bucket.index import SOURCE, ObjectIndex, ObjectsReleased, StoredObject
from layert2v_server.store.database import open_database, write_transaction


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(tmp_path / "jobs.sqlite3")
    yield engine
    engine.dispose()


@pytest.fixture
def index(engine: Engine) -> ObjectIndex:
    return ObjectIndex(engine, clock=lambda: 100.0)


def stored_object(name: str, place: str = "", *, untrusted: bool = False) -> StoredObject:
    return StoredObject(
        place=place or name,
        owner="anna",
        location=f"files/{name}",
        size_bytes=5,
        sha256=name * 64,
        untrusted=untrusted,
    )


def test_an_object_is_free_with_its_last_holder(index: ObjectIndex) -> None:
    index.hold("one", [stored_object("a"), stored_object("b")])
    index.hold("two", [stored_object("b", "other"), stored_object("c")], shared={"files/b"})
    assert {each.location for each in index.release(["one"])} == {"files/a"}
    assert index.get("two", "other") == stored_object("b", "other")
    assert index.get("one", "a") is None
    assert {each.location for each in index.release(["two", "none"])} == {"files/b", "files/c"}
    assert index.holders() == set()


def test_what_was_released_meanwhile_is_not_shared(index: ObjectIndex, engine: Engine) -> None:
    index.hold("one", [stored_object("a"), stored_object("b")])
    index.release(["one"])
    index.hold("three", [stored_object("b")])
    shared = {"files/a", "files/b"}
    with write_transaction(engine) as connection, pytest.raises(ObjectsReleased) as caught:
        index.hold("two", [stored_object("a")], shared=shared, connection=connection)
    assert caught.value.locations == {"files/a"}
    assert index.holders() == {"three"}


def test_by_hash_what_is_checked_comes_first_and_sources_are_left_out(index: ObjectIndex) -> None:
    index.hold(f"{SOURCE}job", [stored_object("a")])
    assert index.find_by_hash("anna", ["a" * 64]) == {}
    index.hold("upload/x", [stored_object("a", "image/x-exr", untrusted=True)])
    assert index.find_by_hash("anna", ["a" * 64])["a" * 64].untrusted
    index.hold("job", [stored_object("a")])
    assert not index.find_by_hash("anna", ["a" * 64, "b" * 64])["a" * 64].untrusted
    assert index.find_by_hash("bert", ["a" * 64]) == {}


def test_sums_and_ages(index: ObjectIndex) -> None:
    index.hold("upload/x", [stored_object("a")])
    index.hold("job", [stored_object("b")])
    assert (index.size_of("anna", "upload/"), index.size_of("bert", "upload/")) == (5, 0)
    assert index.sizes(index.holders("upload/", than=101.0)) == {"upload/x": (5, 100.0)}
    assert index.holders("upload/", than=100.0) == set()
    assert dict(index.locations()) == {"files/a": 5, "files/b": 5}
