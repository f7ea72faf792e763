"""Which objects of the bucket belong to what: rows in the database, several of which may share one.

An object is written before anybody holds it, and removed after nobody does. Whoever wants to share
one that others hold does so in a transaction that finds it still held: a holder that lets go at the
same time comes before, and then it is not shared, or after, and then it stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select

from layert2v_server.store.database import read_transaction, write_transaction
from layert2v_server.store.files_table import lock_total
from layert2v_server.store.tables import stored_objects

SOURCE = "source/"  # before the id of a job, whose inputs these are
UPLOAD = "upload/"  # before the hash of an owner and the id of an upload
_BATCH = 500  # SQLite takes a few thousand parameters

_columns = stored_objects.c


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """A file in the bucket: where it lies, and what it is to its holder; see the table."""

    place: str
    owner: str
    location: str
    size_bytes: int
    sha256: str
    untrusted: bool


class ObjectsReleased(Exception):
    """Objects that were to be shared belong to nobody any more: those at ``locations``."""

    def __init__(self, locations: set[str]) -> None:
        super().__init__("objects were released")
        self.locations = locations


class ObjectIndex:
    """The rows in the database of ``engine``. Blocking; the server calls it in threads."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def hold(
        self,
        holder: str,
        objects: Sequence[StoredObject],
        *,
        shared: Collection[str] = (),
        connection: Connection | None = None,
    ) -> None:
        """Let a holder have exactly these objects, in a transaction that may be open already.

        Raises ``ObjectsReleased`` where nobody else holds the locations ``shared`` any more.
        """
        if connection is None:
            with write_transaction(self._engine) as own:
                self.hold(holder, objects, shared=shared, connection=own)
            return
        lock_total(connection)
        if gone := set(shared) - _find_held(connection, shared):
            raise ObjectsReleased(gone)
        connection.execute(delete(stored_objects).where(_columns.holder == holder))
        now = self._clock()
        rows = [{"holder": holder, "created": now, **_row(each)} for each in objects]
        if rows:
            connection.execute(insert(stored_objects), rows)

    def release(self, holders: Iterable[str]) -> list[StoredObject]:
        """Take their objects from holders; return those that nobody holds any more."""
        wanted = list(holders)
        freed: dict[str, StoredObject] = {}
        for start in range(0, len(wanted), _BATCH):
            with write_transaction(self._engine) as connection:
                lock_total(connection)
                mine = _columns.holder.in_(wanted[start : start + _BATCH])
                found = _objects(connection, mine)
                connection.execute(delete(stored_objects).where(mine))
                kept = _find_held(connection, {each.location for each in found})
            freed |= {each.location: each for each in found if each.location not in kept}
        return list(freed.values())

    def list(self, holder: str) -> list[StoredObject]:
        """Return the objects of a holder by their places."""
        with read_transaction(self._engine) as connection:
            return _objects(connection, _columns.holder == holder)

    def get(self, holder: str, place: str) -> StoredObject | None:
        """Return the object that a holder has at a place, if any."""
        with read_transaction(self._engine) as connection:
            found = _objects(connection, _columns.holder == holder, _columns.place == place)
        return found[0] if found else None

    def find_by_hash(self, owner: str, hashes: Collection[str]) -> dict[str, StoredObject]:
        """Return an object of ``owner`` for each SHA-256 that a finished job or an upload has.

        One that is checked comes before one that is not.
        """
        wanted = list(hashes)
        found: dict[str, StoredObject] = {}
        with read_transaction(self._engine) as connection:
            for start in range(0, len(wanted), _BATCH):
                batch = _columns.sha256.in_(wanted[start : start + _BATCH])
                is_mine = (_columns.owner == owner) & ~_columns.holder.startswith(SOURCE)
                for each in _objects(connection, batch, is_mine):
                    known = found.get(each.sha256)
                    if known is None or (known.untrusted and not each.untrusted):
                        found[each.sha256] = each
        return found

    def holders(self, prefix: str = "", than: float | None = None) -> set[str]:
        """Return who holds objects, of a kind, and since before ``than`` where that is given."""
        query = select(_columns.holder).where(_columns.holder.startswith(prefix)).distinct()
        if than is not None:
            query = query.where(_columns.created < than)
        with read_transaction(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def size_of(self, owner: str, prefix: str) -> int:
        """Return the bytes of what a user's holders of a kind have."""
        query = select(func.sum(_columns.size_bytes)).where(
            _columns.owner == owner, _columns.holder.startswith(prefix)
        )
        with read_transaction(self._engine) as connection:
            return int(connection.execute(query).scalar() or 0)

    def sizes(self, holders: Collection[str]) -> dict[str, tuple[int, float]]:
        """Return bytes and age of holders: when they began to hold, in seconds since 1970."""
        query = select(
            _columns.holder, func.sum(_columns.size_bytes), func.max(_columns.created)
        ).group_by(_columns.holder)
        with read_transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return {row[0]: (int(row[1]), float(row[2])) for row in rows if row[0] in holders}

    def locations(self) -> Iterator[tuple[str, int]]:
        """Yield location and size of all objects that somebody holds."""
        query = select(_columns.location, _columns.size_bytes).distinct()
        with read_transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        yield from ((row[0], row[1]) for row in rows)


def _find_held(connection: Connection, locations: Collection[str]) -> set[str]:
    """Return those of the locations that somebody holds."""
    wanted = list(locations)
    found: set[str] = set()
    for start in range(0, len(wanted), _BATCH):
        batch = _columns.location.in_(wanted[start : start + _BATCH])
        found |= set(connection.execute(select(_columns.location).where(batch)).scalars())
    return found


def _objects(connection: Connection, *conditions: Any) -> list[StoredObject]:
    query = select(stored_objects).where(*conditions).order_by(_columns.holder, _columns.place)
    return [
        StoredObject(
            place=row.place,
            owner=row.owner,
            location=row.location,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            untrusted=bool(row.untrusted),
        )
        for row in connection.execute(query)
    ]


def _row(each: StoredObject) -> dict[str, Any]:
    return {**asdict(each), "untrusted": int(each.untrusted)}
