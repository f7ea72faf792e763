"""Where a bucket is: from the setting, and from the environment as AWS' tools read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_server.config import Config, check_config, parse_bucket_url
from layert2v_server.errors import ConfigError
from layert2v_server.store.bucket.settings import BucketSettings, read_settings

URL = "s3://renders/shots"
KEYS = {"AWS_ACCESS_KEY_ID": "from-environment", "AWS_SECRET_ACCESS_KEY": "canary"}


def read(tmp_path: Path, *, may_be_plain: bool = False, **variables: str) -> BucketSettings:
    return read_settings(URL, {"HOME": str(tmp_path), **variables}, may_be_plain=may_be_plain)


def write_profiles(tmp_path: Path) -> None:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text(
        "[profile studio]\nregion = eu-west-1\nendpoint_url = https://minio.studio:9000\n"
        "[profile role]\nrole_arn = arn:aws:iam::1:role/x\n"
    )
    (folder / "credentials").write_text(
        "[studio]\naws_access_key_id = from-profile\naws_secret_access_key = canary%\n"
    )


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://renders", ("renders", "")),
        ("s3://renders/", ("renders", "")),
        ("s3://my.renders-1/a/b_c/", ("my.renders-1", "a/b_c")),
    ],
)
def test_addresses(url: str, parts: tuple[str, str]) -> None:
    assert parse_bucket_url(url) == parts


@pytest.mark.parametrize(
    "url",
    [
        *("renders", "s3://", "s3://Renders", "s3://a..b/x", "s3://renders/a/../b"),
        *("s3://renders/a b", "s3://renders/" + "a" * 201, "s3://user:key@host/x"),
        *("gs://renders/x", "s3://renders//x"),
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is no place for results"):
        check_config(Config(artifacts=url))


def test_the_environment_comes_before_a_profile(tmp_path: Path) -> None:
    write_profiles(tmp_path)
    found = read(tmp_path, AWS_PROFILE="studio")
    assert (found.region, found.endpoint) == ("eu-west-1", "https://minio.studio:9000")
    assert found.credentials["access_key_id"] == "from-profile"
    assert found.credentials["secret_access_key"].startswith("canary")
    found = read(tmp_path, AWS_PROFILE="studio", AWS_REGION="us-west-2", **KEYS)
    assert (found.region, found.credentials["access_key_id"]) == ("us-west-2", "from-environment")
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("profile", "message"), [("nobody", "There is no profile"), ("role", "has no access key")]
)
def test_profiles_that_are_refused(tmp_path: Path, profile: str, message: str) -> None:
    write_profiles(tmp_path)
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, AWS_PROFILE=profile)


def test_without_anything_the_machine_is_asked(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.credentials, found.endpoint, found.region) == ({}, "", "us-east-1")


def test_an_endpoint_without_tls_must_be_here_or_allowed(tmp_path: Path) -> None:
    away = {"AWS_ENDPOINT_URL": "http://minio.studio:9000"}
    with pytest.raises(ConfigError, match="would be reached over http"):
        read(tmp_path, **away)
    assert read(tmp_path, may_be_plain=True, **away).is_plain
    for host in ("127.0.0.1:9000", "[::1]:9000", "localhost"):
        assert read(tmp_path, AWS_ENDPOINT_URL=f"http://{host}").is_plain
    with pytest.raises(ConfigError, match="is no address of a server") as caught:
        read(tmp_path, AWS_ENDPOINT_URL="https://user:canary@minio")
    assert "canary" not in caught.value.message + caught.value.hint
