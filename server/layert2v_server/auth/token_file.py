"""The token file: one token a line, of which it holds the hash.

    NAME SHA256 [role=supervisor|admin] [expires=2026-12-31T00:00:00Z]

Several lines may have one name, so that a token can be replaced while the old one still works.
Empty lines and those that start with # are left alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from layert2v.atomic_write import atomic_write
from layert2v_server.errors import ConfigError

USER_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
ID_CHARS = 8  # of a hash, enough to tell the tokens of one name apart
MAKE_ONE = "Make one with: layert2v-server token add NAME"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Role(StrEnum):
    """What a caller may do.

    A supervisor may make a job urgent; an admin also sees, cancels and deletes everybody's jobs.
    """

    ARTIST = "artist"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenEntry:
    """A line of the file; ``expires`` is in UTC, None for never."""

    name: str
    digest: str
    role: Role = Role.ARTIST
    expires: datetime | None = None

    @property
    def id(self) -> str:
        """The start of the hash, which names the token without telling it."""
        return self.digest[:ID_CHARS]

    def line(self) -> str:
        """Return the line of the file, without its end."""
        words = [self.name, self.digest]
        if self.role is not Role.ARTIST:
            words.append(f"role={self.role}")
        if self.expires is not None:
            words.append(f"expires={self.expires:%Y-%m-%dT%H:%M:%SZ}")
        return " ".join(words)


def make_token(
    name: str, role: Role = Role.ARTIST, expires: datetime | None = None
) -> tuple[str, TokenEntry]:
    """Return a new token for ``name``, and its entry. Raises ``ConfigError``."""
    if not USER_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a caller.",
            "Use up to 64 letters, digits and the signs _ . @ - in it.",
        )
    token = secrets.token_urlsafe(32)
    return token, TokenEntry(name=name, digest=digest_of(token), role=role, expires=expires)


def digest_of(token: str) -> str:
    """Return the hash under which a token is kept."""
    # No salt and no stretching: the tokens are 256 random bits, not passwords.
    return hashlib.sha256(token.encode()).hexdigest()


def read_entries(path: Path) -> list[TokenEntry]:
    """Return the tokens of a file. Raises ``ConfigError``."""
    return [entry for entry in map(_parse_line, _numbered_lines(path)) if entry is not None]


def add_entry(path: Path, entry: TokenEntry) -> None:
    """Add a token to the file, which is made where there is none. Raises ``ConfigError``."""
    lines = [line for _, line in _numbered_lines(path)] if path.exists() else []
    _write(path, [*lines, entry.line()])


def revoke(path: Path, name: str, token_id: str = "") -> int:
    """Remove the tokens of ``name``, or only the one with that id; return how many there were.

    Raises ``ConfigError``.
    """
    kept: list[str] = []
    count = 0
    for numbered in _numbered_lines(path):
        entry = _parse_line(numbered)
        if entry is not None and entry.name == name and token_id in ("", entry.id):
            count += 1
        else:
            kept.append(numbered[1])
    if count:
        _write(path, kept)
    return count


def _numbered_lines(path: Path) -> list[tuple[int, str]]:
    try:
        return list(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"The token file {path} cannot be read: {reason}.",
            "Name another one with --token-file.",
        ) from error


def _parse_line(numbered: tuple[int, str]) -> TokenEntry | None:
    number, line = numbered
    if not line.strip() or line.startswith("#"):
        return None
    name, digest, *options = [*line.split(), ""]
    try:
        if not (USER_NAME.fullmatch(name) and _SHA256.fullmatch(digest)):
            raise ValueError("it is not a name and a SHA-256")
        values = dict(option.split("=", 1) for option in options if option)
        role = Role(values.pop("role", Role.ARTIST))
        expires = _parse_time(values.pop("expires", ""))
        if values:
            raise ValueError(f"it says {next(iter(values))}")
    except ValueError as error:
        raise ConfigError(
            f"Line {number} of the token file cannot be used: {error}.", MAKE_ONE
        ) from error
    return TokenEntry(name=name, digest=digest, role=role, expires=expires)


def _parse_time(text: str) -> datetime | None:
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _write(path: Path, lines: list[str]) -> None:
    try:
        atomic_write(path, "".join(f"{line}\n" for line in lines), mode=0o600)
    except OSError as error:
        raise ConfigError(
            f"The token file {path} cannot be written: {error.strerror}.",
            "Check who may write to its folder.",
        ) from error
