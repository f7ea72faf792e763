"""Tokens: their file, and the users they authenticate."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_server.auth import LOCAL_USER, TokenAuthenticator, make_token, read_token_file
from layert2v_server.cli import main
from layert2v_server.errors import AccessDenied, ConfigError


def test_without_tokens_every_caller_is_the_local_user() -> None:
    assert read_token_file(None).authenticate("") == LOCAL_USER


def test_a_token_authenticates_its_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "anna"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    token, line = first.split()[-1], second.partition(": ")[2]
    _, other = make_token("bert")
    file = tmp_path / "tokens"
    file.write_text(f"# who may call\n{line}\n\n{other}\n")
    authenticator = read_token_file(file)
    assert authenticator.authenticate(f"Bearer {token}") == "anna"
    for wrong in ("", token, f"Basic {token}", f"Bearer {token}x", "Bearer ", "Bearer \xff"):
        with pytest.raises(AccessDenied):
            authenticator.authenticate(wrong)


@pytest.mark.parametrize("text", ["", "# nobody\n", "anna\n", "anna 123\n", f"a b {'0' * 64}\n"])
def test_an_invalid_token_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_token_file(file)


def test_user_names_have_no_spaces() -> None:
    with pytest.raises(ConfigError):
        make_token("anna the first\n")
    assert TokenAuthenticator({}).authenticate("anything") == LOCAL_USER
