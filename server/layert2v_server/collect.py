"""The command ``gc``: what is older than the settings say, listed or removed."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from layert2v_server.components import open_stores, retention_of
from layert2v_server.config import Config
from layert2v_server.errors import ConfigError
from layert2v_server.store.backup import DATABASE, copy_database
from layert2v_server.store.claims import claim_bucket, claim_folder, require_no_bucket
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.retention import (
    DataStores,
    Expired,
    find_expired,
    remove_expired,
)
from layert2v_server.store.sqlite import exclusive_lock


def list_expired(config: Config) -> list[Expired]:
    """Return what would be removed now; also while a server runs, and changing nothing.

    Raises ``ConfigError``.
    """
    data = _data_folder(config)
    if config.database:
        with _open_stores(config, data, config.database) as stores:
            return list(find_expired(stores, retention_of(config), time.time()))
    with tempfile.TemporaryDirectory() as folder:
        copy_database(data / DATABASE, Path(folder, DATABASE))
        with _open_stores(config, data, Path(folder, DATABASE)) as stores:
            return list(find_expired(stores, retention_of(config), time.time()))


def remove_all_expired(config: Config) -> list[Expired]:
    """Remove what is older than it is kept, and return it. Raises ``ConfigError``.

    With SQLite a server that runs has the folder for itself, and removes such things every hour.
    With PostgreSQL servers may run: they do the same beside each other.
    """
    data = _data_folder(config)
    if config.database:
        with _open_stores(config, data, config.database) as stores:
            return remove_expired(stores, retention_of(config), time.time())
    with (
        exclusive_lock(data / "server.lock"),
        _open_stores(config, data, data / DATABASE) as stores,
    ):
        return remove_expired(stores, retention_of(config), time.time())


def _data_folder(config: Config) -> Path:
    data = config.data.expanduser().resolve()
    if config.database:
        return data  # whether it belongs to the database is told when that is open
    if not (data / DATABASE).is_file():
        raise ConfigError(
            f"There is no database of a server in {data}.", "Name its data folder with --data."
        )
    return data


@contextlib.contextmanager
def _open_stores(config: Config, data: Path, database: Path | str) -> Iterator[DataStores]:
    engine = open_database(database, is_alone=not config.database)
    jobs = JobStore(engine)
    try:
        stores = open_stores(config, data, jobs, engine, min_free_mib=0)
        if stores.bucket is not None:
            claim_bucket(engine, stores.bucket, may_replace=False, is_alone=False)
        else:
            require_no_bucket(engine)
            if config.database:
                claim_folder(engine, data, may_replace=False, is_alone=False)
        yield stores
    finally:
        jobs.close()
