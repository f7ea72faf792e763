"""Sessions of browsers: their ends, and that a token's end is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_server.auth import TokenAuthenticator, add_entry, make_token, read_entries, revoke
from layert2v_server.errors import AccessDenied
from layert2v_server.web import sessions as module
from layert2v_server.web.sessions import SESSION_S, Sessions

TOKEN, ENTRY = make_token("anna")


def test_a_session_ends_by_time_and_by_logging_out() -> None:
    now = [0.0]
    sessions = Sessions(TokenAuthenticator([ENTRY]), clock=lambda: now[0])
    first, second = sessions.open(TOKEN), sessions.open(TOKEN)
    found = sessions.find(first)
    assert found is not None
    assert found.principal.user == "anna"
    assert found.is_form_key(found.form_key)
    assert not found.is_form_key("")
    sessions.close(first)
    assert sessions.find(first) is None
    now[0] = SESSION_S
    assert sessions.find(second) is None


def test_a_session_ends_with_its_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    add_entry(file, ENTRY)
    authenticator = TokenAuthenticator(read_entries(file), file, reload_interval_s=0.0)
    sessions = Sessions(authenticator)
    identity = sessions.open(TOKEN)
    assert sessions.find(identity) is not None
    revoke(file, "anna")
    assert sessions.find(identity) is None


TOKEN_IDS = ["none", "wrong", "digest", "space"]  # its tokens are new in each process


@pytest.mark.parametrize("token", ["", "wrong", ENTRY.digest, TOKEN + " "], ids=TOKEN_IDS)
def test_what_is_no_token_opens_nothing(token: str) -> None:
    sessions = Sessions(TokenAuthenticator([ENTRY]))
    with pytest.raises(AccessDenied):
        sessions.open(token)
    assert sessions.find("") is None


def test_the_oldest_session_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    sessions = Sessions(TokenAuthenticator([ENTRY]))
    identities = [sessions.open(TOKEN) for _ in range(3)]
    assert [sessions.find(each) is not None for each in identities] == [False, True, True]
