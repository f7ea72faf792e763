"""Settings and callers: what the server refuses to start with, and whom it lets in."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from layert2v_server.auth import LOCAL_USER, TokenAuthenticator, make_token, read_token_file
from layert2v_server.cli import main
from layert2v_server.config import Config, check_config, load_config, show_config
from layert2v_server.errors import AccessDenied, ConfigError


def test_a_file_and_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[server]\ndata = "/x"\nlease_s = 60\ndevices = ["cpu"]\n[client]\nserver = "a"'
    )
    config = load_config(file, {"data": Path("/y")})
    assert (config.data, config.lease_s, config.devices) == (Path("/y"), 60.0, ("cpu",))


@pytest.mark.parametrize(
    "text",
    [
        "[server]\nleese_s = 1",
        '[server]\nlease_s = "long"',
        "[server]\ntell_paths = 1",
        "[server]\ndevices = [1]",
        "[server]\nmax_attempts = 0",
        "[server]\nmax_attempts = true",
        "[server]\nlease_s = 1",
        "[server]\ndevices = []",
        '[server]\ndevices = ["tpu"]',
        '[server]\naddress = "foo"',
        '[server]\naddress = "unix:"',
        '[server]\ntls_key = "k"',
        '[server]\ntls_client_authority = "ca"',
        "server = 3",
        "no toml",
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert caught.value.hint.endswith(".")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for read in (read_token_file, lambda file: load_config(file, {})):
        with pytest.raises(ConfigError, match="cannot be read: No such file") as caught:
            read(tmp_path / "nowhere")
        assert caught.value.hint


def test_an_address_without_a_port_is_told_how_to_be_written() -> None:
    with pytest.raises(ConfigError, match="no address to serve on") as caught:
        check_config(Config(address="foo"))
    assert "HOST:PORT" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--until-stdin-ends"], "standard input cannot be waited for"),
        (["--data", "/dev/null/data"], "cannot be made: Not a directory"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    command = [sys.executable, "-m", "layert2v_server", "serve", "--address", "127.0.0.1:0"]
    command += ["--data", str(tmp_path), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert sentence in done.stderr


def test_shown_settings_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    config = Config(data=tmp_path, devices=("cuda:0", "cuda:1"), expose_local_paths=False)
    file.write_text(show_config(config))
    assert load_config(file, {}) == config
    assert "token_file" not in tomllib.loads(show_config(config))["server"]


def test_the_old_name_of_a_setting_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[server]\ntell_paths = true")
    assert load_config(file, {}).expose_local_paths is True
    assert "tell_paths is now called expose_local_paths" in caplog.text
    file.write_text("[server]\ntell_paths = true\nexpose_local_paths = true")
    with pytest.raises(ConfigError, match="both expose_local_paths and its old name tell_paths"):
        load_config(file, {})


def test_other_machines_need_a_token_or_certificates() -> None:
    with pytest.raises(ConfigError, match="must know its callers"):
        check_config(Config(address="0.0.0.0:7433"))
    check_config(Config(address="0.0.0.0:7433", token_file=Path("tokens")))
    pem = Path("x.pem")
    with pytest.raises(ConfigError):
        check_config(Config(address="0.0.0.0:7433", tls_certificate=pem, tls_key=pem))
    check_config(
        Config(address="0.0.0.0:7433", tls_certificate=pem, tls_key=pem, tls_client_authority=pem)
    )


def test_the_refusal_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--address", "0.0.0.0:0", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert said.endswith(".")


def test_the_settings_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--data", str(tmp_path), "--device", "cpu", "--show-config"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["server"]["data"] == str(tmp_path)


def test_without_tokens_everybody_is_the_local_user() -> None:
    assert read_token_file(None).authenticate("") == LOCAL_USER


def test_a_token_says_who_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_token_file_must_be_right(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_token_file(file)


def test_names_are_plain() -> None:
    with pytest.raises(ConfigError):
        make_token("anna the first\n")
    assert TokenAuthenticator({}).authenticate("anything") == LOCAL_USER
