"""Authenticate callers by bearer tokens, of which the server knows only hashes."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from layert2v_server.errors import AccessDenied, ConfigError

LOCAL_USER = "local"

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class TokenAuthenticator:
    """Known users; without any, everybody who can connect is ``LOCAL_USER``."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        self._digests = dict(digests)

    def authenticate(self, authorization: str) -> str:
        """Return the user of the token in an authorization header. Raises ``AccessDenied``."""
        if not self._digests:
            return LOCAL_USER
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token)
        user = ""
        for name, known in self._digests.items():  # all of them, so that the time shows nothing
            if hmac.compare_digest(digest, known):
                user = name
        if scheme.lower() != "bearer" or not user:
            raise AccessDenied
        return user


def read_token_file(path: Path | None) -> TokenAuthenticator:
    """Read a token file: a name and the SHA-256 of a token on each line. Raises ``ConfigError``."""
    if path is None:
        return TokenAuthenticator({})
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"The token file {path} cannot be read: {reason}.",
            "Name another one with --token-file.",
        ) from error
    digests = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, digest = line.strip().partition(" ")
        if not (_NAME.fullmatch(name) and _SHA256.fullmatch(digest.strip())):
            raise ConfigError(
                f"Line {number} of the token file is not a name and a SHA-256.",
                "Make one with: layert2v-server token NAME",
            )
        digests[name] = digest.strip()
    if not digests:
        raise ConfigError("The token file names nobody.", "Add a line: layert2v-server token NAME")
    return TokenAuthenticator(digests)


def make_token(name: str) -> tuple[str, str]:
    """Return a new token for ``name``, and its line of the token file."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a caller.",
            "Use up to 64 letters, digits and the signs _ . @ - in it.",
        )
    token = secrets.token_urlsafe(32)
    return token, f"{name} {_digest(token)}"


def _digest(token: str) -> str:
    # No salt and no stretching: the tokens are 256 random bits, not passwords.
    return hashlib.sha256(token.encode()).hexdigest()
