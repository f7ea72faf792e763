"""Where a bucket is and how it is reached: from the setting, and from AWS' environment.

Credentials come from the environment or from a profile, never from a setting of the server or from
a request. What neither names, the library asks the machine for: the role of an instance, of a
container or of a web identity.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from layert2v.address import is_local
from layert2v_server.config import BUCKET_SCHEME, parse_bucket_url
from layert2v_server.errors import ConfigError

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketSettings:
    """How to reach a bucket. ``repr`` shows no credentials."""

    bucket: str
    prefix: str
    endpoint: str = ""  # empty: that of AWS for the region
    region: str = DEFAULT_REGION
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: bytes = field(default=b"", repr=False)  # PEM, of a private endpoint

    @property
    def url(self) -> str:
        """Return the address as the setting has it."""
        return f"{BUCKET_SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def is_plain(self) -> bool:
        """Tell if the endpoint is reached without TLS."""
        return self.endpoint.startswith("http:")


def read_settings(
    url: str, environment: Mapping[str, str], *, may_be_plain: bool
) -> BucketSettings:
    """Return how to reach the bucket of a URL. Raises ``ConfigError``.

    An endpoint over http is refused off loopback, unless it ``may_be_plain``.
    """
    bucket, prefix = parse_bucket_url(url)
    profile = _read_profile(environment)
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or profile.get("endpoint_url", "")
    )
    _check_endpoint(endpoint, may_be_plain)
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return BucketSettings(
        bucket=bucket,
        prefix=prefix,
        endpoint=endpoint.rstrip("/"),
        region=region or profile.get("region", "") or DEFAULT_REGION,
        credentials=_credentials(environment, profile),
        authority=_read_authority(environment.get("AWS_CA_BUNDLE") or profile.get("ca_bundle", "")),
    )


def _check_endpoint(endpoint: str, may_be_plain: bool) -> None:
    if not endpoint:
        return
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigError(
            "The endpoint of the bucket is no address of a server.",
            "Write AWS_ENDPOINT_URL as https://HOST:PORT, without a user.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.scheme == "http" and not (may_be_plain or is_local(f"{host}:{parts.port or 80}")):
        raise ConfigError(
            f"The endpoint {parts.hostname} would be reached over http, so footage would travel "
            "unencrypted.",
            "Use https, or state with artifacts_allow_http = true that this network is closed.",
        )


def _credentials(environment: Mapping[str, str], profile: Mapping[str, str]) -> dict[str, str]:
    """Return the keys, those of the environment before those of a profile; empty for none."""
    for source in ({name.lower(): value for name, value in environment.items()}, profile):
        key, secret = source.get("aws_access_key_id"), source.get("aws_secret_access_key")
        if key and secret:
            found = {"access_key_id": key, "secret_access_key": secret}
            token = source.get("aws_session_token")
            return {**found, "session_token": token} if token else found
    return {}


def _read_profile(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the profile that the environment names, of both of AWS' files.

    Raises ``ConfigError`` where it names one that is not there, or that has no keys.
    """
    wanted = environment.get("AWS_PROFILE", "")
    name, home = wanted or "default", Path(environment.get("HOME", "~")).expanduser() / ".aws"
    found: dict[str, str] = {}
    is_known = False
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(environment.get(variable) or home / file).expanduser())
        except (configparser.Error, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The file that AWS calls {file} cannot be read.", "Correct it."
            ) from error
        if parser.has_section(section):
            is_known = True
            found |= dict(parser.items(section))
    if wanted and not is_known:
        raise ConfigError(
            f"There is no profile {wanted!r} in AWS' files.",
            "Correct AWS_PROFILE, or leave it out.",
        )
    if wanted and not _credentials(environment, found):
        raise ConfigError(
            f"The profile {wanted!r} has no access key; roles and single sign-on are not read.",
            "Export keys: aws configure export-credentials --format env.",
        )
    return found


def _read_authority(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes() if path else b""
    except OSError as error:
        raise ConfigError(
            f"AWS_CA_BUNDLE cannot be read: {error.strerror}.", "Name a PEM file, or leave it out."
        ) from error
