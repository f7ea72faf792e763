"""The database under the job store: an SQLite file, or PostgreSQL by URL.

What differs between the two is in this module, and in ``sqlite`` and ``postgresql`` below it. On
SQLite a write transaction holds the only write lock. On PostgreSQL transactions run beside each
other: each locks the row of its job first, then what several jobs share (see ``totals``).
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from layert2v_server.errors import ConfigError, DiskFull, StorageFailed
from layert2v_server.store.postgresql import (
    CHANNEL,
    create_postgresql_engine,
    hide_password,
    postgresql_error,
    postgresql_refusal,
)
from layert2v_server.store.sqlite import create_sqlite_engine, sqlite_error, sqlite_refusal

MAX_LEASE_S = 3600.0  # of any server; a database whose clock was set back frees its jobs after it
MIGRATION_LOCK = 7433  # an arbitrary number that all servers agree on


def open_database(target: Path | str, *, sender: str = "", is_alone: bool = True) -> Engine:
    """Open a database, created and migrated to the newest schema where needed.

    ``target`` is the path of an SQLite file, or the URL of a PostgreSQL database. There, ``sender``
    marks what this engine announces; where the server ``is_alone`` with the database, it may change
    the schema. Raises ``ConfigError``.
    """
    pin: Callable[[], None] = _nothing
    if isinstance(target, Path):
        engine, pin = create_sqlite_engine(target)
    else:
        engine = create_postgresql_engine(target).execution_options(sender=sender)
    try:
        with write_transaction(engine) as connection:
            if is_alone:
                migrate(connection)
            elif not _is_current(connection):
                raise ConfigError(
                    "The servers that use this database are of another version of LayerT2V.",
                    "Stop them, start this one, then the others with the same version.",
                )
        pin()
    except (CommandError, StorageFailed, DiskFull) as error:
        engine.dispose()
        raise _refusal(target, error) from error
    except ConfigError:
        engine.dispose()
        raise
    return engine


def _nothing() -> None:
    pass


def _refusal(target: Path | str, error: Exception) -> ConfigError:
    if isinstance(error, CommandError):  # Alembic does not know the version that it finds
        name = target if isinstance(target, Path) else hide_password(target)
        kept = "move the file away" if isinstance(target, Path) else "name another database"
        return ConfigError(
            f"The database {name} was written by a newer version of LayerT2V, or is damaged.",
            f"Update LayerT2V, or {kept} and start with --rebuild.",
        )
    if isinstance(target, Path):
        return sqlite_refusal(target, error)
    return postgresql_refusal(target, error)


def migrate(connection: Connection) -> None:
    """Migrate the schema of an open connection to the newest version."""
    if _is_postgresql(connection):  # two servers that start at the same time
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    config = _alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_current(connection: Connection) -> bool:
    head = ScriptDirectory.from_config(_alembic_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == head


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", "layert2v_server.store:migrations")
    return config


@contextlib.contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a consistent view that never waits for a writer. Raises ``StorageFailed``."""
    options: dict[str, Any] = {"read_only": True}
    if _is_postgresql(engine):
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _convert_errors(engine), engine.execution_options(**options).begin() as connection:
        yield connection


@contextlib.contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Open one durable transaction.

    Raises ``DiskFull`` where the disk cannot take it, and ``StorageFailed`` where the database
    cannot be written for another reason, such as somebody else's lock.
    """
    with _convert_errors(engine), engine.begin() as connection:
        yield connection


def lock_user(connection: Connection, owner: str) -> None:
    """Let no other transaction add a job of ``owner`` before this one ends."""
    if _is_postgresql(connection):
        key = func.hashtextextended(owner, 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def announce(connection: Connection, topic: str) -> None:
    """Tell other servers of a change, once this transaction is durable.

    ``topic`` is the id of a job, or empty for the queue.
    """
    if _is_postgresql(connection):
        sender = connection.get_execution_options().get("sender", "")
        connection.execute(select(func.pg_notify(CHANNEL, f"{sender} {topic}")))


def lease_time(connection: Connection) -> float:
    """Return the clock of leases, in seconds from anywhere.

    On SQLite that is a clock of this machine which is never set. On PostgreSQL it is the
    database's, since that is the one that all servers share.
    """
    if not _is_postgresql(connection):
        return time.monotonic()
    now = select(func.extract("epoch", func.clock_timestamp()))
    return float(connection.execute(now).scalar_one())


def longest_lease(connection: Connection, own_s: float) -> float:
    """Return the seconds after which no lease can end that was granted by the present clock.

    A machine's clock of leases starts anew with it. That of a database does not, and other servers
    may grant longer leases than this one does, ``own_s``.
    """
    return max(own_s, MAX_LEASE_S) if _is_postgresql(connection) else own_s


@contextlib.contextmanager
def _convert_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        convert = postgresql_error if _is_postgresql(engine) else sqlite_error
        raise convert(error) from error
    except PoolTimeout as error:  # all connections hang in their transactions
        raise StorageFailed("its database does not answer") from error


@contextlib.contextmanager
def convert_os_errors() -> Iterator[None]:
    """Raise the system's errors as ``DiskFull`` and ``StorageFailed``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull from error
        raise StorageFailed((error.strerror or type(error).__name__).lower()) from error


def _is_postgresql(database: Engine | Connection) -> bool:
    return database.dialect.name == "postgresql"
