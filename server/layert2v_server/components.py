"""The components of a running server, opened on its data folder and its database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from layert2v_server.config import Config
from layert2v_server.domain.state import TERMINAL_STATES
from layert2v_server.errors import ConfigError, DiskFull
from layert2v_server.executors.base import Executor
from layert2v_server.service.housekeeping import Housekeeping
from layert2v_server.service.job_monitor import JobMonitor
from layert2v_server.service.quota import DiskQuota
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.bucket.client import Bucket
from layert2v_server.store.bucket.index import ObjectIndex
from layert2v_server.store.bucket.settings import read_settings
from layert2v_server.store.bucket.transfer import Transfers
from layert2v_server.store.bucket_artifacts import BucketArtifacts
from layert2v_server.store.bucket_uploads import BucketUploads
from layert2v_server.store.claims import claim_bucket, claim_folder, require_no_bucket
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.postgresql import missing_driver
from layert2v_server.store.rebuild import rebuild
from layert2v_server.store.reserve import RESERVE_BYTES, DiskReserve
from layert2v_server.store.retention import DataStores, Retention, note_use
from layert2v_server.store.sqlite import exclusive_lock
from layert2v_server.store.tidy import tidy
from layert2v_server.store.uploads import UploadStore

if TYPE_CHECKING:  # needs psycopg, which only servers on PostgreSQL have
    from layert2v_server.store.change_feed import ChangeFeed

MIB = 1 << 20
# The system takes 4096 bytes for a path; below the data folder come a job, an attempt and a file.
MAX_DATA_PATH_BYTES = 3000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """The components of the running server."""

    monitor: JobMonitor
    artifacts: ArtifactStore
    uploads: UploadStore
    content_index: ContentIndex
    executors: tuple[Executor, ...]
    reserve: DiskReserve
    quota: DiskQuota
    housekeeping: Housekeeping
    feed: ChangeFeed | None  # of the other servers; none on SQLite


@contextlib.asynccontextmanager
async def open_components(
    config: Config, executors: tuple[Executor, ...], register_stacks: bool
) -> AsyncGenerator[Components, None]:
    """Open the data folder, and close it when the block ends. Raises ``ConfigError``."""
    data = _make_data_folder(config)
    with contextlib.ExitStack() as stack:
        feed = None
        if config.database:  # several servers may use it
            feed = _open_feed(config.database)
            stack.callback(feed.close)
        if config.artifacts or not config.database:  # then the data folder is this server's alone
            stack.enter_context(exclusive_lock(data / "server.lock"))
        components = _build_components(config, data, executors, feed, register_stacks)
        try:
            if feed is not None:
                _follow_changes(feed, components.monitor)
            yield components
        finally:
            components.monitor.pools.close()
            components.artifacts.close()
            components.monitor.store.close()
            note_use(data, time.time())


def retention_of(config: Config) -> Retention:
    """Return how long the settings say that things are kept."""
    return Retention(
        jobs_days=config.keep_jobs_days,
        uploads_days=config.keep_uploads_days,
        trash_days=config.keep_trash_days,
    )


def open_stores(
    config: Config, data: Path, jobs: JobStore, engine: Engine, *, min_free_mib: int | None = None
) -> DataStores:
    """Open the stores of files of a data folder, and of a bucket where there is one.

    Raises ``ConfigError``.
    """
    free_mib = config.min_free_mib if min_free_mib is None else min_free_mib
    max_bytes, min_free_bytes = config.max_upload_mib * MIB, free_mib * MIB
    if not config.artifacts:
        return DataStores(
            data=data,
            jobs=jobs,
            artifacts=ArtifactStore(data / "jobs", min_free_bytes=min_free_bytes),
            uploads=UploadStore(
                data / "uploads", max_bytes=max_bytes, min_free_bytes=min_free_bytes
            ),
        )
    settings = read_settings(config.artifacts, os.environ, may_be_plain=config.artifacts_allow_http)
    index, transfers = ObjectIndex(engine), Transfers(Bucket(settings))
    return DataStores(
        data=data,
        jobs=jobs,
        artifacts=BucketArtifacts(
            data / "jobs", min_free_bytes=min_free_bytes, transfers=transfers, index=index
        ),
        uploads=BucketUploads(
            data / "uploads",
            max_bytes=max_bytes,
            min_free_bytes=min_free_bytes,
            transfers=transfers,
            index=index,
        ),
        index=index,
        bucket=transfers.bucket,
    )


def _open_feed(url: str) -> ChangeFeed:
    try:
        from layert2v_server.store.change_feed import ChangeFeed
    except ModuleNotFoundError as error:
        raise missing_driver() from error
    return ChangeFeed(url, secrets.token_hex(4))


def _follow_changes(feed: ChangeFeed, monitor: JobMonitor) -> None:
    """Wake those who wait for what other servers change."""
    loop = asyncio.get_running_loop()

    def notice(topic: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            asyncio.run_coroutine_threadsafe(monitor.notice(topic), loop)

    feed.share()
    feed.start(notice)


def _make_data_folder(config: Config) -> Path:
    data = config.data.expanduser().resolve()
    if len(os.fsencode(data)) > MAX_DATA_PATH_BYTES:
        raise ConfigError(
            "The path of the data folder is too long for the files that go below it.",
            f"Use one of at most {MAX_DATA_PATH_BYTES} bytes.",
        )
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not config.expose_local_paths:  # those who see the files too may be other users
            _keep_others_out(data)
    except OSError as error:
        raise ConfigError(
            f"The data folder {data} cannot be made: {error.strerror}.",
            "Name a folder on a local disk with --data.",
        ) from error
    return data


def _keep_others_out(data: Path) -> None:
    """Take the rights of everybody else from a data folder that was made with them."""
    mode = stat.S_IMODE(data.stat().st_mode)
    if not mode & 0o077:
        return
    try:
        data.chmod(mode & ~0o077)
        _log.warning("%s was open to other users (mode %o) and is closed to them now", data, mode)
    except OSError:  # somebody else's folder, or a disk without modes
        _log.warning("%s is open to other users (mode %o) and cannot be closed", data, mode)


def _build_components(
    config: Config,
    data: Path,
    executors: tuple[Executor, ...],
    feed: ChangeFeed | None,
    register_stacks: bool,
) -> Components:
    """Open everything in the data folder, and tidy it. Raises ``ConfigError``."""
    is_alone = feed is None or feed.is_alone
    if register_stacks and not is_alone:
        raise ConfigError(
            "Other servers are using this database.", "Stop them before a start with --rebuild."
        )
    reserve = DiskReserve(data / "reserve")
    if shutil.disk_usage(data).free < RESERVE_BYTES:
        reserve.release()
    engine = (
        open_database(data / "jobs.sqlite3")
        if feed is None
        else open_database(config.database, sender=feed.name, is_alone=is_alone)
    )
    store = JobStore(
        engine,
        max_attempts=config.max_attempts,
        max_worker_deaths=config.max_worker_deaths,
        max_open_jobs=config.max_open_jobs,
    )
    try:
        stores = open_stores(config, data, store, engine)
        artifacts, uploads, index = stores.artifacts, stores.uploads, stores.index
        if stores.bucket is not None:
            claim_bucket(engine, stores.bucket, may_replace=register_stacks, is_alone=is_alone)
        else:
            require_no_bucket(engine)
            if feed is not None:
                claim_folder(engine, data, may_replace=register_stacks, is_alone=is_alone)
        if is_alone:  # those who granted the leases are gone, with their workers
            with contextlib.suppress(DiskFull):  # the leases then end by themselves
                store.expire_all_leases()
                store.save_models(())  # the checkpoints may have changed: the workers report them
                if register_stacks:
                    _log.warning("registered %d stacks again", rebuild(store, artifacts))
            tidy(stores, retention_of(config), time.time())
        known = store.list_ids()
        artifacts.discard_leftovers(known, known - store.list_ids(TERMINAL_STATES))
        reserve.fill()
    except OSError as error:
        store.close()
        raise ConfigError(
            f"The data folder cannot be used: {error.strerror} ({error.filename}).",
            "Check what lies there and who may write to it.",
        ) from error
    except BaseException:
        store.close()
        raise
    monitor = JobMonitor(store, make_room=reserve.release)
    return Components(
        monitor=monitor,
        artifacts=artifacts,
        uploads=uploads,
        content_index=ContentIndex(
            store, artifacts, uploads, are_shared=feed is not None, index=index
        ),
        executors=executors,
        reserve=reserve,
        housekeeping=Housekeeping(stores, monitor.pools, retention_of(config)),
        quota=DiskQuota(store, uploads, config.max_user_mib * MIB),
        feed=feed,
    )
