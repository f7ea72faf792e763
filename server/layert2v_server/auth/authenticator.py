"""Authenticate callers by bearer tokens. A changed token file holds at once, without a restart."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from layert2v_server.auth.token_file import (
    MAKE_ONE,
    USER_NAME,
    Role,
    TokenEntry,
    digest_of,
    read_entries,
)
from layert2v_server.errors import AccessDenied, ConfigError

LOCAL_USER = "local"
RELOAD_INTERVAL_S = 1.0  # the file is looked at no more often

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """An authenticated caller."""

    user: str
    role: Role = Role.ARTIST

    @property
    def may_be_urgent(self) -> bool:
        """Tell if the caller's jobs may go before everybody's."""
        return self.role is not Role.ARTIST

    def may_use(self, owner: str) -> bool:
        """Tell if the jobs of ``owner`` are the caller's business."""
        return self.user == owner or self.role is Role.ADMIN


class TokenAuthenticator:
    """Known tokens; without any, whoever can connect without a certificate is ``LOCAL_USER``.

    ``source`` is the file to read them from again when it has changed. ``clock`` gives the time in
    UTC, for tokens that expire.
    """

    def __init__(
        self,
        entries: Sequence[TokenEntry],
        source: Path | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        reload_interval_s: float = RELOAD_INTERVAL_S,
    ) -> None:
        self._entries = tuple(entries)
        self._source = source
        self._clock = clock
        self._reload_interval_s = reload_interval_s
        self._version: tuple[int, int, int] | None = None
        self._next_look = 0.0

    def authenticate(self, authorization: str, certificate: str | None = None) -> Principal:
        """Return the caller with the token in an authorization header. Raises ``AccessDenied``.

        Without tokens, it is the common name in the caller's certificate that names the user.
        """
        self._reload_where_changed()
        if self._source is None and not self._entries:
            if certificate is not None and not USER_NAME.fullmatch(certificate):
                raise AccessDenied("The common name of this certificate is no user name.")
            return Principal(user=LOCAL_USER if certificate is None else certificate)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise AccessDenied
        return self.find(digest_of(token))

    def find(self, digest: str) -> Principal:
        """Return the caller whose token has this hash. Raises ``AccessDenied``."""
        self._reload_where_changed()
        found: TokenEntry | None = None
        for entry in self._entries:  # all of them, so that the time shows nothing
            if hmac.compare_digest(digest, entry.digest):
                found = entry
        if found is None:
            raise AccessDenied
        if found.expires is not None and found.expires <= self._clock():
            raise AccessDenied("This token has expired.")
        return Principal(user=found.name, role=found.role)

    def _reload_where_changed(self) -> None:
        """Read the file again where it has changed; one with a wrong line changes nothing."""
        if self._source is None or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self._reload_interval_s
        version = _version_of(self._source)
        if version == self._version:
            return
        try:
            # Where the file was removed, or its last token, nobody may call.
            entries = () if version is None else tuple(read_entries(self._source))
            if entries != self._entries:
                _log.warning("the token file has changed; it has %d tokens", len(entries))
            self._entries = entries
        except ConfigError as error:
            _log.error("the tokens of before stay in use: %s", error.message)
        self._version = version


def read_token_file(path: Path | None) -> TokenAuthenticator:
    """Read a token file. Raises ``ConfigError``."""
    if path is None:
        return TokenAuthenticator(())
    entries = read_entries(path)
    if not entries:
        raise ConfigError("The token file names nobody.", MAKE_ONE)
    return TokenAuthenticator(entries, path)


def _version_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with every change of a file; None where there is none."""
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns
