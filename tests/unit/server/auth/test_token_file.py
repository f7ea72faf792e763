"""The token file: its lines, and the commands that change it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from layert2v_server.auth import Role, TokenEntry, make_token, read_entries, read_token_file
from layert2v_server.cli import main
from layert2v_server.errors import ConfigError

HASH = "0" * 64


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    expires = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    _, entry = make_token("anna", Role.ADMIN, expires)
    old = TokenEntry(name="bert", digest=HASH)
    assert old.line() == f"bert {HASH}"  # as earlier versions wrote it
    (tmp_path / "tokens").write_text(f"{entry.line()}\n{old.line()}\n")
    assert read_entries(tmp_path / "tokens") == [entry, old]


@pytest.mark.parametrize(
    "line",
    [
        "anna",
        "anna 123",
        f"a b {HASH}",
        f"anna {HASH} admin",
        f"anna {HASH} role=king",
        f"anna {HASH} expires=soon",
        f"anna {HASH} color=red",
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "tokens").write_text(f"# one\n{line}\n")
    with pytest.raises(ConfigError, match="Line 2"):
        read_entries(tmp_path / "tokens")


def test_user_names_have_no_spaces() -> None:
    with pytest.raises(ConfigError):
        make_token("anna the first\n")


def test_tokens_are_added_listed_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tokens"

    def run(*words: str) -> str:
        assert main(["token", *words, "--token-file", str(file)]) == 0
        return capsys.readouterr().out

    token = run("add", "anna", "--role", "admin", "--days", "30").split()[-1]
    run("add", "anna")
    run("add", "bert")
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text()
    assert read_token_file(file).authenticate(f"Bearer {token}").role is Role.ADMIN
    listed = run("list").splitlines()
    assert [line.split()[1:3] for line in listed] == [
        ["anna", "admin"],
        ["anna", "artist"],
        ["bert", "artist"],
    ]
    assert "expires" in listed[0]
    assert token not in "".join(listed)
    run("revoke", "anna", "--id", listed[0].split()[0])
    run("revoke", "bert")
    assert [entry.name for entry in read_entries(file)] == ["anna"]
    assert main(["token", "revoke", "bert", "--token-file", str(file)]) == 2
    assert "no such token" in capsys.readouterr().err


def test_the_file_may_be_named_in_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "layert2v.toml"
    config.write_text(f'[server]\ntoken_file = "{tmp_path / "tokens"}"\n')
    assert main(["token", "add", "anna", "--config", str(config)]) == 0
    assert [entry.name for entry in read_entries(tmp_path / "tokens")] == ["anna"]
    config.write_text("[server]\n")
    assert main(["token", "add", "anna", "--config", str(config)]) == 2
    assert main(["token", "add", "anna", "--days", "0", "--token-file", "x"]) == 2
    assert "Traceback" not in capsys.readouterr().err
