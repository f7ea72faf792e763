"""Who calls: users by their tokens, of which the server knows only hashes."""

from layert2v_server.auth.authenticator import (
    LOCAL_USER,
    Principal,
    TokenAuthenticator,
    read_token_file,
)
from layert2v_server.auth.token_file import (
    Role,
    TokenEntry,
    add_entry,
    digest_of,
    make_token,
    read_entries,
    revoke,
)

__all__ = [
    "LOCAL_USER",
    "Principal",
    "Role",
    "TokenAuthenticator",
    "TokenEntry",
    "add_entry",
    "digest_of",
    "make_token",
    "read_entries",
    "read_token_file",
    "revoke",
]
