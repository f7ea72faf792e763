"""A job store in a PostgreSQL database: its URL, its connections, and its errors.

No message of this module, and no line that it logs, holds a password.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError

from layert2v_server.errors import (
    ConfigError,
    DiskFull,
    InvalidArgument,
    ServerError,
    StorageFailed,
)

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
CHANNEL = "layert2v_changes"
DISK_FULL = "53100"  # SQLSTATE
POOL_SIZE = (
    8  # connections that are kept; the pools of threads together may need six more for a while
)
MAX_MORE_CONNECTIONS = 8
POOL_TIMEOUT_S = 10.0

# What a URL may overrule. A host that is gone is noticed within half a minute.
CONNECT_DEFAULTS: dict[str, Any] = {
    "application_name": "layert2v-server",
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    # A server that is frozen in the middle of a transaction loses its locks after half a minute.
    "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=30s",
}
_EXAMPLE = "Write it as postgresql://USER@HOST/DATABASE; the password can stay in ~/.pgpass."
_HOST = re.compile(r"[A-Za-z0-9_.:%/-]*")

_log = logging.getLogger(__name__)


def parse_url(text: str) -> URL:
    """Return the URL of a database. Raises ``ConfigError``, which does not repeat it."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError("The URL of the database cannot be read.", _EXAMPLE) from None
    if url.drivername not in SCHEMES:
        raise ConfigError("The URL of the database is not one of PostgreSQL.", _EXAMPLE)
    if not _HOST.fullmatch(url.host or ""):  # most likely a part of the password
        raise ConfigError(
            "The URL of the database cannot be read.",
            "Write the characters @, / and : of its password as %40, %2F and %3A.",
        )
    return url.set(drivername="postgresql+psycopg")


def hide_password(text: str) -> str:
    """Return the URL without its password and without options, for people."""
    return (
        parse_url(text).set(query={}).render_as_string(hide_password=True).replace("+psycopg", "")
    )


def create_postgresql_engine(text: str) -> Engine:
    """Return an engine for the database of a URL. Raises ``ConfigError``."""
    url = parse_url(text)
    defaults = {key: value for key, value in CONNECT_DEFAULTS.items() if key not in url.query}
    try:
        return create_engine(
            url,
            connect_args=defaults,
            pool_size=POOL_SIZE,
            max_overflow=MAX_MORE_CONNECTIONS,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,  # a database that was restarted costs no call
            hide_parameters=True,  # errors of SQLAlchemy hold no prompt
        )
    except ModuleNotFoundError as error:
        raise missing_driver() from error


def missing_driver() -> ConfigError:
    """Return the error of a server that was installed without the extra ``postgres``."""
    return ConfigError(
        "A database on PostgreSQL needs psycopg, which is not installed.",
        "Install it with: pip install 'layert2v[postgres]'",
    )


def postgresql_refusal(text: str, error: Exception) -> ConfigError:
    """Return the error of a database that cannot be used."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    original = cause.orig if isinstance(cause, DBAPIError) else error
    return ConfigError(
        f"The database {hide_password(text)} cannot be used: {_first_line(original)}.",
        "Check that it runs, that its name is right, and that this user may create tables in it.",
    )


def postgresql_error(error: DBAPIError) -> ServerError:
    """Return the server's error for one of PostgreSQL, and log what its operator should read."""
    state = getattr(error.orig, "sqlstate", None)
    if state == DISK_FULL:
        return DiskFull()
    if isinstance(error, DataError):  # a character 0, a number beyond its column: never again
        return InvalidArgument("A text or a number of this cannot be stored.")
    _log.warning("database error state=%s: %s", state, _first_line(error.orig))
    if state is None or error.connection_invalidated:
        return StorageFailed("its database cannot be reached")
    return StorageFailed(f"its database answers with error {state}")


def _first_line(error: BaseException | None) -> str:
    """Return the first line of a database's message: later ones hold the values of a row."""
    diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)
    lines = str(diagnosis or error).strip().splitlines() or ["it does not say why"]
    return lines[0].rstrip(".")
