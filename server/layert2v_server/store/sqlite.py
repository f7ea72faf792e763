"""A job store in an SQLite file: how it is opened, and locked for one server.

The file must lie on a local disk, and only the server process opens it: workers talk to the server.
"""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from layert2v_server.errors import ConfigError, DiskFull, ServerError, StorageFailed

BUSY_TIMEOUT_S = 10


def create_sqlite_engine(path: Path) -> tuple[Engine, Callable[[], None]]:
    """Return an engine for the file ``path``, and a function that pins the file.

    It is called once the tables are there. Raises ``StorageFailed``.
    """
    file = _DatabaseFile(path)
    engine = create_engine("sqlite://", creator=file.connect, poolclass=QueuePool)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", file.check)
    event.listen(engine, "begin", _begin)
    return engine, file.pin


class _DatabaseFile:
    """The file ``path``: once it is pinned, no other file is taken for it, and none is made.

    A file that is moved or deleted while it is open goes on taking rows, which the next start of
    the server would not find: they must not be accepted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None

    def connect(self) -> sqlite3.Connection:
        """Open a connection; only before the file is pinned, this makes it."""
        mode = "rwc" if self._identity is None else "rw"
        address = f"file:{urllib.parse.quote(str(self._path))}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)

    def pin(self) -> None:
        """Remember the present file. Raises ``StorageFailed``."""
        self._identity = self._read_identity()
        if self._identity is None:
            raise StorageFailed("its database is gone")

    def check(self, connection: Connection) -> None:
        """Raise ``StorageFailed`` where a transaction would write into another file, or none."""
        if self._identity is None or _is_read_only(connection):
            return
        if self._read_identity() != self._identity:
            raise StorageFailed("its database was moved away or replaced")

    def _read_identity(self) -> tuple[int, int] | None:
        try:
            info = self._path.stat()
        except OSError:
            return None
        return info.st_dev, info.st_ino


def sqlite_refusal(path: Path, error: Exception) -> ConfigError:
    """Return the error of a file that cannot be used."""
    cause = getattr(error.__cause__, "orig", None) or error
    return ConfigError(
        f"The database {path} cannot be used: {cause}.",
        "Move it away and start with --rebuild, which finds finished stacks again.",
    )


def sqlite_error(error: DBAPIError) -> ServerError:
    """Return the server's error for one of SQLite."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:  # the primary result code
        return DiskFull()
    return StorageFailed(f"its database answers {str(error.orig)!r}")


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Lock ``path`` until the block ends.

    The system releases the lock when this process ends, however it ends. Raises ``ConfigError``
    while another server holds it.
    """
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise ConfigError(
            f"The lock {path} cannot be opened: {error}.", "Check who may write to the folder."
        ) from error
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if busy:
                raise ConfigError(
                    "Another server is using this data folder.",
                    "Stop it, or give this one a folder of its own with --data.",
                ) from error
            raise ConfigError(
                f"The lock {path} cannot be used: {error}.",
                "Remove the file if no server is running; nothing is in it.",
            ) from error
        yield
    finally:
        connection.close()


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in `_begin`
    connection.text_factory = _decode
    # FULL: an accepted job survives a power cut; about 300 commits a second are plenty here.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _decode(data: bytes) -> str:
    return data.decode(errors="replace")  # a damaged text must not hide the other rows


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock first: what reads and then writes cannot be overtaken.
    connection.exec_driver_sql("BEGIN" if _is_read_only(connection) else "BEGIN IMMEDIATE")


def _is_read_only(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("read_only", False))
