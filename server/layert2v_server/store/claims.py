"""Whether files belong to the jobs of a database: both have the same random number.

    <data>/database_id      of the data folder of the servers of a PostgreSQL database
    <prefix>/database_id    of a bucket

A database on SQLite lies in its data folder, and needs no number there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, select, update

from layert2v.atomic_write import atomic_write
from layert2v_server.errors import ConfigError, ServerError
from layert2v_server.store.bucket.client import Bucket
from layert2v_server.store.database import convert_os_errors, write_transaction
from layert2v_server.store.regular_file import read_regular
from layert2v_server.store.tables import BUCKET_ID, FOLDER_ID, stored_objects, totals

FILE_NAME = "database_id"
MAX_DIGITS = 20


def claim_folder(engine: Engine, data: Path, *, may_replace: bool, is_alone: bool) -> None:
    """Give a new database and its data folder a number, or compare the numbers that they have.

    Where the two do not belong together, a server that ``is_alone`` and ``may_replace`` makes them.
    Raises ``ConfigError``.
    """
    path = data / FILE_NAME
    in_folder = _read(path)

    def write(number: int) -> None:
        with convert_os_errors():
            atomic_write(path, f"{number}\n")

    with write_transaction(engine) as connection:
        in_database = _read_total(connection, FOLDER_ID)
        if in_database is not None and in_database == in_folder:
            return
        if not is_alone or (in_database is not None and not may_replace):
            raise ConfigError(
                "The files of the jobs in this database are not in this data folder.",
                "Name the data folder of the other servers with --data, on a disk that all of them "
                "share; where those files are lost, start one server with --rebuild.",
            )
        _claim(connection, FOLDER_ID, in_folder, write)


def claim_bucket(engine: Engine, bucket: Bucket, *, may_replace: bool, is_alone: bool) -> None:
    """Do the same for a bucket. A new database takes none that belongs to another one.

    What is in a bucket and belongs to no job is removed after a while. Raises ``ConfigError``, also
    where the bucket cannot be used.
    """
    url = bucket.settings.url
    try:
        found = (bucket.read_small(FILE_NAME, MAX_DIGITS + 1) or b"").decode().strip()
        in_bucket = int(found) if found.isdigit() else None
        with write_transaction(engine) as connection:
            in_database = _read_total(connection, BUCKET_ID)
            if in_database == in_bucket and in_bucket is not None:
                return
            is_new = in_database is None and in_bucket is None
            if not is_alone or not (is_new or may_replace):
                raise ConfigError(
                    f"The objects in {url} are not of the jobs in this database.",
                    "Name the bucket and prefix, and the database, that belong together; where one "
                    "of them is lost, start one server with --rebuild.",
                )
            _claim(
                connection,
                BUCKET_ID,
                in_bucket,
                lambda number: bucket.put(FILE_NAME, _text(number)),
            )
    except ConfigError:
        raise
    except ServerError as error:
        raise ConfigError(f"{error.message} ({url})", error.hint) from error


def require_no_bucket(engine: Engine) -> None:
    """Raise ``ConfigError`` where jobs of a database have their results in a bucket."""
    with write_transaction(engine) as connection:
        if connection.execute(select(stored_objects.c.holder).limit(1)).first() is not None:
            raise ConfigError(
                "The results of jobs in this database are in a bucket.",
                "Name it as before: --artifacts s3://BUCKET/PREFIX.",
            )


def _claim(
    connection: Connection, name: str, known: int | None, write: Callable[[int], object]
) -> None:
    """Write a number to both sides, the one that the files have already where they have one."""
    number = known or secrets.randbits(60) + 1
    write(number)
    row = totals.c.name == name
    if not connection.execute(update(totals).where(row).values(value=number)).rowcount:
        connection.execute(insert(totals).values(name=name, value=number))


def _read_total(connection: Connection, name: str) -> int | None:
    found = connection.execute(select(totals.c.value).where(totals.c.name == name)).scalar()
    return None if found is None else int(found)


def _text(number: int) -> bytes:
    return f"{number}\n".encode()


def _read(path: Path) -> int | None:
    try:
        text = read_regular(path, MAX_DIGITS + 1).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
