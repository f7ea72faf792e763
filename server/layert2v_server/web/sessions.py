"""Who is logged in: sessions of browsers, in memory, so that a restart ends them.

A session knows the hash of the token it was opened with, and ends with the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from layert2v_server.auth import Principal, TokenAuthenticator, digest_of
from layert2v_server.errors import AccessDenied

SESSION_S = 12 * 3600.0
MAX_SESSIONS = 1000  # the oldest one makes room


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A browser that is logged in; ``form_key`` is what its forms must bring along."""

    principal: Principal
    form_key: str

    def is_form_key(self, text: str) -> bool:
        """Tell if a form came from a page of this session."""
        return hmac.compare_digest(text.encode(), self.form_key.encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    token_digest: str
    form_key: str
    ends: float


class Sessions:
    """Open sessions by the hash of their id."""

    def __init__(
        self, authenticator: TokenAuthenticator, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def open(self, token: str) -> str:
        """Return the id of a new session. Raises ``AccessDenied`` where the token is not known."""
        digest = digest_of(token)
        self._authenticator.find(digest)
        identity = secrets.token_urlsafe(32)
        self._entries[_key(identity)] = _Entry(
            token_digest=digest,
            form_key=secrets.token_urlsafe(32),
            ends=self._clock() + SESSION_S,
        )
        while len(self._entries) > MAX_SESSIONS:
            self._entries.popitem(last=False)
        return identity

    def find(self, identity: str) -> Session | None:
        """Return the session, None where it has ended or its token is not known any more."""
        entry = self._entries.get(_key(identity))
        if entry is None:
            return None
        try:
            if entry.ends <= self._clock():
                raise AccessDenied
            principal = self._authenticator.find(entry.token_digest)
        except AccessDenied:
            self.close(identity)
            return None
        return Session(principal=principal, form_key=entry.form_key)

    def close(self, identity: str) -> None:
        """End the session."""
        self._entries.pop(_key(identity), None)


def _key(identity: str) -> str:
    # By hash, so that the time of a look-up says nothing about an id.
    return hashlib.sha256(identity.encode()).hexdigest()
