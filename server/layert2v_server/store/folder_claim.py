"""Whether the data folder of a server has the files of the jobs in its PostgreSQL database.

    <data>/database_id    the number that the database has, too

All servers of one database need one data folder, on a disk that they share.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import Engine, insert, select, update

from layert2v.atomic_write import atomic_write
from layert2v_server.errors import ConfigError
from layert2v_server.store.database import convert_os_errors, write_transaction
from layert2v_server.store.regular_file import read_regular
from layert2v_server.store.tables import FOLDER_ID, totals

FILE_NAME = "database_id"
MAX_DIGITS = 20


def claim_folder(engine: Engine, data: Path, *, may_replace: bool, is_alone: bool) -> None:
    """Give a new database and its data folder a number, or compare the numbers that they have.

    Where the two do not belong together, a server that ``is_alone`` and ``may_replace`` makes them.
    Raises ``ConfigError``.
    """
    path, known = data / FILE_NAME, totals.c.name == FOLDER_ID
    in_folder = _read(path)
    with write_transaction(engine) as connection:
        in_database = connection.execute(select(totals.c.value).where(known)).scalar()
        if in_database is not None and in_database == in_folder:
            return
        if not is_alone or (in_database is not None and not may_replace):
            raise ConfigError(
                "The files of the jobs in this database are not in this data folder.",
                "Name the data folder of the other servers with --data, on a disk that all of them "
                "share; where those files are lost, start one server with --rebuild.",
            )
        number = in_folder or secrets.randbits(60) + 1
        with convert_os_errors():
            atomic_write(path, f"{number}\n")
        if in_database is None:
            connection.execute(insert(totals).values(name=FOLDER_ID, value=number))
        else:
            connection.execute(update(totals).where(known).values(value=number))


def _read(path: Path) -> int | None:
    try:
        text = read_regular(path, MAX_DIGITS + 1).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
