"""Settings: their file, their checks, and their printed form."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from layert2v_server.auth import read_token_file
from layert2v_server.config import Config, check_config, load_config, show_config
from layert2v_server.errors import ConfigError


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
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
        '[server]\nexecutor = "thread"',
        '[server]\nexecutor = "ray://head:10001"',
        '[server]\nexecutor = "ray:head"',
        '[server]\nexecutor = "ray:head:99999"',
        '[server]\nexecutor = "ray"\ndevices = ["cuda:1"]',
        "[server]\ndevices_per_job = 0",
        "[server]\ndevices_per_job = 2",
        '[server]\ndevices_per_job = 2\ndevices = ["cuda:0", "cuda:1", "cuda:2"]',
        '[server]\ndevices_per_job = 3\ndevices = ["cpu", "cpu", "cpu"]\nparallel = "guidance"',
        '[server]\ndevices_per_job = 2\ndevices = ["cpu", "cpu"]\nparallel = "tensor"',
        '[server]\ndevices_per_job = 2\ndevices = ["cpu", "cpu"]\nengine = "mine:Engine"',
        '[server]\nexecutor = "ray"\ndevices_per_job = 2',
        "[server]\nray_gpus = 0",
        "[server]\nray_workers = -1",
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


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    for read in (read_token_file, lambda file: load_config(file, {})):
        with pytest.raises(ConfigError, match="cannot be read: No such file") as caught:
            read(tmp_path / "nowhere")
        assert caught.value.hint


def test_an_address_without_a_port_is_refused_with_the_form() -> None:
    with pytest.raises(ConfigError, match="no address to serve on") as caught:
        check_config(Config(address="foo"))
    assert "HOST:PORT" in caught.value.hint


def test_shown_settings_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    config = Config(
        data=tmp_path,
        devices=("cuda:0", "cuda:1"),
        expose_local_paths=False,
        weights=tmp_path / "weights",
        commercial_only=True,
    )
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


def test_remote_addresses_need_tokens_or_certificates() -> None:
    with pytest.raises(ConfigError, match="must know its callers"):
        check_config(Config(address="0.0.0.0:7433"))
    check_config(Config(address="0.0.0.0:7433", token_file=Path("tokens")))
    pem = Path("x.pem")
    with pytest.raises(ConfigError):
        check_config(Config(address="0.0.0.0:7433", tls_certificate=pem, tls_key=pem))
    check_config(
        Config(address="0.0.0.0:7433", tls_certificate=pem, tls_key=pem, tls_client_authority=pem)
    )


def test_pages_that_others_can_reach_need_tokens_and_tls() -> None:
    tokens, pem = Path("tokens"), Path("x.pem")
    with pytest.raises(ConfigError, match="can be read from other machines"):
        check_config(Config(metrics_address="0.0.0.0:9464"))
    check_config(Config(metrics_address="0.0.0.0:9464", metrics_public=True))
    check_config(Config(metrics_address="0.0.0.0:9464", token_file=tokens))
    with pytest.raises(ConfigError, match="only for users with a token"):
        check_config(Config(web_address="127.0.0.1:7480"))
    check_config(Config(web_address="127.0.0.1:7480", token_file=tokens))
    with pytest.raises(ConfigError, match="unencrypted"):
        check_config(Config(web_address="0.0.0.0:7480", token_file=tokens))
    check_config(
        Config(web_address="0.0.0.0:7480", token_file=tokens, tls_certificate=pem, tls_key=pem)
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"metrics_address": "9464"},
        {"metrics_address": "unix:/tmp/x"},
        {"metrics_address": "127.0.0.1:99999"},
        {"web_address": "http://127.0.0.1:1", "token_file": Path("tokens")},
        {"trace_endpoint": "collector:4318"},
        {"log_format": "xml"},
    ],
)
def test_wrong_addresses_of_pages_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config(Config(**settings))
    assert caught.value.hint.endswith(".")


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://anna:s3cret@db/jobs",
        "postgresql://anna:s3@cret/x@db:5432/jobs?sslmode=require",
        "postgresql://anna@db/jobs?password=s3cret&sslmode=require",
    ],
)
def test_a_shown_database_has_no_password(database: str) -> None:
    shown = show_config(Config(database=database))
    assert "postgresql://anna" in shown
    assert "***" in shown
    assert "s3" not in shown
    assert "cret" not in shown
