"""What servers that share a PostgreSQL database know of each other: who is there, what changes.

One connection of its own listens to what transactions ``announce``. Its session also holds a lock
while the server lives; the database releases it however the server ends.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

import psycopg

from layert2v_server.errors import ConfigError
from layert2v_server.store.postgresql import (
    CHANNEL,
    CONNECT_DEFAULTS,
    create_postgresql_engine,
    postgresql_refusal,
)

SERVER_LOCK = 7434  # an arbitrary number that all servers agree on
START_TIMEOUT_S = 60  # of another server, which tidies the data folder meanwhile
POLL_S = 0.5  # between two looks whether to stop
MIN_RETRY_S, MAX_RETRY_S = 0.2, 5.0

_log = logging.getLogger(__name__)


class ChangeFeed:
    """The session of one server; ``name`` is the sender of its own changes.

    Open it before the database is used: ``is_alone`` tells if no other server uses that, and stays
    true until ``share`` lets others in. Raises ``ConfigError``.
    """

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._url = url
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._connection = self._connect()
            try:
                self.is_alone = self._join()
            except BaseException:
                self._connection.close()
                raise
        except psycopg.Error as error:
            raise postgresql_refusal(url, error) from error

    def share(self) -> None:
        """Let other servers start. Raises ``ConfigError`` where the connection has broken."""
        if not self.is_alone:
            return
        try:
            self._connection.execute("SELECT pg_advisory_lock_shared(%s)", [SERVER_LOCK])
            self._connection.execute("SELECT pg_advisory_unlock(%s)", [SERVER_LOCK])
        except psycopg.Error as error:
            raise postgresql_refusal(self._url, error) from error
        self.is_alone = False

    def start(self, notice: Callable[[str | None], None]) -> None:
        """Call ``notice`` in a thread for every change of another server.

        It gets the id of a job, empty for the queue, or None where changes may have been missed.
        """
        self._thread = threading.Thread(
            target=self._listen, args=(notice,), name="changes", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and leave."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        # After a mere close the lock stays until the session has ended, a moment later.
        with contextlib.suppress(psycopg.Error):
            self._connection.execute("SELECT pg_advisory_unlock_all()")
        self._connection.close()

    def _connect(self) -> psycopg.Connection:
        engine = create_postgresql_engine(self._url)  # only for what it would connect with
        args, options = engine.dialect.create_connect_args(engine.url)
        return psycopg.connect(*args, **{**CONNECT_DEFAULTS, **options}, autocommit=True)

    def _join(self) -> bool:
        """Take the lock, alone where that is possible; tell if it was."""
        free = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [SERVER_LOCK])
        if free.fetchone() == (True,):
            return True
        try:
            self._connection.execute(f"SET lock_timeout = '{START_TIMEOUT_S}s'")
            self._connection.execute("SELECT pg_advisory_lock_shared(%s)", [SERVER_LOCK])
        except psycopg.errors.LockNotAvailable as error:
            raise ConfigError(
                "Another server is still starting on this database.", "Try again in a minute."
            ) from error
        return False

    def _listen(self, notice: Callable[[str | None], None]) -> None:
        retry_s = MIN_RETRY_S
        while not self._stop.is_set():
            try:
                self._connection.execute(f"LISTEN {CHANNEL}")
                notice(None)
                retry_s = MIN_RETRY_S
                while not self._stop.is_set():
                    for change in self._connection.notifies(timeout=POLL_S):
                        sender, _, topic = change.payload.partition(" ")
                        if sender != self.name:
                            notice(topic)
            except psycopg.Error:
                _log.warning("the database does not answer; trying again in %.1f s", retry_s)
                self._stop.wait(retry_s)
                retry_s = min(2 * retry_s, MAX_RETRY_S)
                self._reconnect()

    def _reconnect(self) -> None:
        """Connect again, and take the lock beside the other servers; failures show at the use."""
        try:
            self._connection.close()
            self._connection = self._connect()
            self._connection.execute("SELECT pg_advisory_lock_shared(%s)", [SERVER_LOCK])
        except psycopg.Error:
            self._connection.close()  # without the lock it must not go on
