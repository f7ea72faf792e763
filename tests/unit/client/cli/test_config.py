"""The configuration file: read whole or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_client import InvalidRequest, Tls, connect
from layert2v_client.cli.config import ClientConfig, load_config


def write_config(folder: Path, text: str) -> dict[str, str]:
    path = folder / "layert2v.toml"
    path.write_text(text, encoding="utf-8")
    return {"LAYERT2V_CONFIG": str(path)}


def test_defaults_without_a_file() -> None:
    assert load_config({}) == ClientConfig()
    bearer = "open sesame"
    assert load_config({"LAYERT2V_TOKEN": bearer}).token == bearer


def test_every_key_of_the_file(tmp_path: Path) -> None:
    environment = write_config(
        tmp_path,
        '[server]\naddress = "x"\n[client]\nserver = "render01:7433"\ntoken = "from file"\n'
        'data = "/d"\n'
        'models = "/m"\ntls_authority = "ca.pem"\n',
    )
    config = load_config(environment)
    assert (config.server, config.token) == ("render01:7433", "from file")
    assert (config.data, config.models) == (Path("/d"), Path("/m"))
    assert config.tls == Tls(authority=Path("ca.pem"))
    bearer = "open sesame"
    assert load_config({**environment, "LAYERT2V_TOKEN": bearer}).token == bearer
    assert load_config(write_config(tmp_path, "[client]\ntls = false")).tls is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[client", "layert2v.toml"),
        ("client = 3", "client must be a table"),
        ('[client]\nserve = "x"', "knows no 'serve'"),
        ("[client]\nserver = 3", "server must be text"),
        ('[client]\ntls = "yes"', "tls must be true or false"),
    ],
)
def test_wrong_keys_and_values_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        load_config(write_config(tmp_path, text))
    assert caught.value.reason == "CONFIG_INVALID"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be used: No such file"):
        load_config({"LAYERT2V_CONFIG": str(tmp_path / "none.toml")})


def test_a_missing_certificate(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"ca\.pem cannot be read"):
        connect("render01:7433", tls=Tls(authority=tmp_path / "ca.pem"))


@pytest.mark.parametrize("address", ["render01:7433", "127.0.0.1:7433", "unix:/tmp/l.sock"])
@pytest.mark.parametrize("tls", [None, True, False])
def test_every_kind_of_connection(address: str, tls: bool | None) -> None:
    connect(address, tls=tls).close()
