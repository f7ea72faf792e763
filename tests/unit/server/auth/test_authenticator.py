"""Callers by their tokens: users, roles, expiry, and a file that changes under the server."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from layert2v_server.auth import (
    LOCAL_USER,
    Principal,
    Role,
    TokenAuthenticator,
    add_entry,
    make_token,
    read_token_file,
    revoke,
)
from layert2v_server.errors import AccessDenied, ConfigError


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_without_tokens_every_caller_is_the_local_user() -> None:
    assert read_token_file(None).authenticate("") == Principal(user=LOCAL_USER)


def test_a_token_authenticates_its_user(tmp_path: Path) -> None:
    token, line = make_token("anna")
    _, other = make_token("bert")
    file = tmp_path / "tokens"
    file.write_text(f"# who may call\n{line.line()}\n\n{other.line()}\n")
    authenticator = read_token_file(file)
    assert authenticator.authenticate(bearer(token)) == Principal(user="anna")
    for wrong in ("", token, f"Basic {token}", f"Bearer {token}x", "Bearer ", "Bearer \xff"):
        with pytest.raises(AccessDenied):
            authenticator.authenticate(wrong)


def test_a_file_without_tokens_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("# nobody\n")
    with pytest.raises(ConfigError, match="names nobody"):
        read_token_file(tmp_path / "tokens")


def test_a_token_expires() -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    token, entry = make_token("anna", expires=now[0] + timedelta(days=1))
    authenticator = TokenAuthenticator([entry], clock=lambda: now[0])
    assert authenticator.authenticate(bearer(token)).user == "anna"
    now[0] += timedelta(days=1)
    with pytest.raises(AccessDenied, match="expired"):
        authenticator.authenticate(bearer(token))


def test_a_changed_file_holds_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "tokens"
    first, entry = make_token("anna")
    add_entry(file, entry)
    authenticator = TokenAuthenticator([entry], file, reload_interval_s=0.0)
    assert authenticator.authenticate(bearer(first)).role is Role.ARTIST
    second, entry = make_token("anna", Role.ADMIN)
    add_entry(file, entry)
    assert authenticator.authenticate(bearer(second)).role is Role.ADMIN
    assert authenticator.authenticate(bearer(first)).user == "anna"  # until it is revoked
    with file.open("a") as text:
        text.write("a line that is wrong\n")
    with caplog.at_level(logging.ERROR):
        assert authenticator.authenticate(bearer(second)).user == "anna"
    assert "tokens of before stay in use" in caplog.text


@pytest.mark.parametrize("how", ["revoked", "deleted"])
def test_without_its_last_token_nobody_may_call(tmp_path: Path, how: str) -> None:
    file = tmp_path / "tokens"
    token, entry = make_token("anna")
    add_entry(file, entry)
    authenticator = TokenAuthenticator([entry], file, reload_interval_s=0.0)
    authenticator.authenticate(bearer(token))
    if how == "revoked":
        assert revoke(file, "anna") == 1
    else:
        file.unlink()
    for authorization in (bearer(token), ""):
        with pytest.raises(AccessDenied):
            authenticator.authenticate(authorization)


def test_an_admin_may_use_the_jobs_of_everybody() -> None:
    assert Principal(user="anna").may_use("anna")
    assert not Principal(user="anna").may_use("bert")
    assert Principal(user="anna", role=Role.ADMIN).may_use("bert")
