"""The server's settings: one dataclass, filled from a TOML file and then from the command line.

The file is named by --config or LAYERT2V_CONFIG; its table ``[server]`` holds the fields of
``Config``.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layert2v.address import is_local, port_of
from layert2v.home import data_folder
from layert2v_server.errors import ConfigError
from layert2v_server.logs import FORMATS

DEFAULT_PORT = 7433
PARALLEL = ("ulysses", "ring", "guidance")
MAX_PORT = 65_535
BUCKET_SCHEME = "s3://"
DEPRECATED_NAMES = {"tell_paths": "expose_local_paths"}  # of settings in a file

_TCP_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
_ADDRESS = re.compile(r"unix:.+|" + _TCP_ADDRESS.pattern)
_EXECUTOR = re.compile(r"process|ray(:" + _TCP_ADDRESS.pattern + ")?")
_RAY_DEVICES = (("auto",), ("cpu",), ("cuda",))
_ENDPOINT = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_DEVICE = re.compile(r"auto|cpu|(cuda|mps|xpu)(:\d{1,3})?")
_PASSWORD = re.compile(r"(?<=://)([^/?]*?:).*(?=@)|(?<=password=)[^&]*", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*")
_MAX_PREFIX_CHARS = 200
_HELP = "Correct it; layert2v-server serve --show-config lists every setting."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings of the server. Times are seconds, sizes MiB; for None and empty see the comments."""

    address: str = f"127.0.0.1:{DEFAULT_PORT}"  # HOST:PORT or unix:PATH; port 0 takes a free one
    data: Path = dataclasses.field(default_factory=data_folder)  # jobs and results, on a local disk
    database: str = ""  # postgresql://USER@HOST/DATABASE; empty: an SQLite file in the data folder
    # Results and uploads: s3://BUCKET/PREFIX, reached as AWS' environment variables say; empty: in
    # the data folder.
    artifacts: str = ""
    artifacts_allow_http: bool = False  # reach the bucket unencrypted, off loopback as well
    models: Path | None = None  # checkpoints; none: those that come with the engine
    weights: Path | None = None  # networks of others; none: weights in the user's data folder
    commercial_only: bool = False  # refuse networks whose licence does not allow commercial use
    engine: str = ""  # module:Class that the workers load; empty: LayerT2V's own
    devices: tuple[str, ...] = ("auto",)  # one worker each: auto, cpu, cuda:0, ...
    devices_per_job: int = 1  # so many of them in a row are one worker, and share each job
    parallel: str = PARALLEL[0]  # how: ulysses, ring (shares of the tokens), or guidance (two)
    # Where workers run: process (on this machine), ray (the cluster that this machine is a node of)
    # or ray:HOST:PORT.
    executor: str = "process"
    ray_workers: int = 0  # 0: as many as the nodes have room for at the start
    ray_gpus: int = 1  # of a worker, all on one node; none where the cluster has none
    ray_cpus: int = 0  # of a worker; 0: its share of the smallest node
    token_file: Path | None = None  # lines "NAME SHA256"; none: no token is needed
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_authority: Path | None = None  # callers must show a certificate signed by it
    log_format: str = FORMATS[0]  # text, or json: one object a line
    metrics_address: str | None = None  # HOST:PORT of figures for Prometheus; none: not served
    metrics_public: bool = False  # on other addresses than loopback they then need no token
    metrics_users: bool = False  # tell open jobs by user, too
    trace_endpoint: str | None = None  # of a collector of OpenTelemetry, http://HOST:PORT
    web_address: str | None = None  # HOST:PORT of the page of the queue; none: not served
    # Tell callers the folders of stacks; none: only where the address is local.
    expose_local_paths: bool | None = None
    max_attempts: int = 3
    max_worker_deaths: int = 2  # then a job is in quarantine until an operator releases it
    max_open_jobs: int = 100  # waiting or running, for each user
    max_upload_mib: int = 4096  # one file
    max_user_mib: int = 0  # results and uploads of each user together; 0: no limit
    keep_jobs_days: float = 0.0  # after their end jobs are deleted with all files; 0: never
    keep_uploads_days: float = 7.0  # after the last write
    keep_trash_days: float = 7.0  # what the server removed by itself stays in the folder trash
    min_free_mib: int = 256  # a job starts only above this
    lease_s: float = 30.0  # after so long without a message a worker is given up
    heartbeat_s: float = 1.0
    cancel_grace_s: float = 10.0  # then a worker that does not stop is killed
    max_calls_per_s: float = 500.0  # of each user; ten seconds of them at once after a silence
    idle_timeout_s: float = 30.0  # a transfer of which nothing moves for so long is ended
    drain_s: float = 2.0  # open calls may take so long when the server stops

    @property
    def is_local(self) -> bool:
        """Tell if only this machine can reach the address."""
        return is_local(self.address)


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> Config:
    """Return the settings of a file with ``overrides`` on top. Raises ``ConfigError``."""
    table = {} if path is None else _rename_deprecated(_read_server_table(path))
    known = {field.name for field in dataclasses.fields(Config)}
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ConfigError(f"[server] knows no setting {unknown[0]!r}.", _HELP)
    config = Config(**{name: _convert_value(name, value) for name, value in table.items()})
    return check_config(dataclasses.replace(config, **overrides))


def check_config(config: Config) -> Config:
    """Return the settings if they fit together. Raises ``ConfigError``."""
    _check_names(config)
    _check_metrics(config)
    _check_web(config)
    if config.artifacts:
        parse_bucket_url(config.artifacts)
    if config.trace_endpoint and not _ENDPOINT.fullmatch(config.trace_endpoint):
        raise ConfigError(
            f"trace_endpoint {config.trace_endpoint!r} is no address of a collector.",
            "Write it as http://HOST:PORT or https://HOST:PORT.",
        )
    counts = ("max_attempts", "max_worker_deaths", "max_open_jobs")
    seconds = ("lease_s", "heartbeat_s", "cancel_grace_s", "idle_timeout_s")
    for name in (*counts, *seconds, "max_calls_per_s"):
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name} must be greater than 0.", _HELP)
    for name in ("max_user_mib", "keep_jobs_days", "keep_uploads_days", "keep_trash_days"):
        if getattr(config, name) < 0:
            raise ConfigError(f"{name} must not be below 0.", _HELP)
    if min(config.ray_workers, config.ray_cpus) < 0 or config.ray_gpus < 1:
        raise ConfigError("ray_workers and ray_cpus are at least 0, ray_gpus is at least 1.", _HELP)
    _check_devices_per_job(config)
    if config.heartbeat_s * 3 > config.lease_s:
        raise ConfigError("lease_s must be at least three times heartbeat_s.", _HELP)
    if (config.tls_certificate is None) != (config.tls_key is None):
        raise ConfigError("tls_certificate and tls_key belong together.", "Set both, or neither.")
    if config.tls_client_authority is not None and config.tls_certificate is None:
        raise ConfigError(
            "tls_client_authority needs tls_certificate and tls_key.", "Set all three."
        )
    if not (config.is_local or config.token_file or config.tls_client_authority):
        raise ConfigError(
            f"The address {config.address} can be reached from other machines, so the server "
            "must know its callers.",
            "Give it --token-file, or TLS with tls_client_authority.",
        )
    return config


def _check_names(config: Config) -> None:
    if not _ADDRESS.fullmatch(config.address) or port_of(config.address) > MAX_PORT:
        raise ConfigError(
            f"{config.address!r} is no address to serve on.",
            f"Write it as HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}, or as unix:PATH.",
        )
    if config.log_format not in FORMATS:
        raise ConfigError(
            f"There is no log format {config.log_format!r}.", f"Use {' or '.join(FORMATS)}."
        )
    if not _EXECUTOR.fullmatch(config.executor) or port_of(config.executor) > MAX_PORT:
        raise ConfigError(
            f"There is no executor {config.executor!r}.",
            "Use process, ray, or ray:HOST:PORT with the address of the cluster's head.",
        )
    if config.executor != "process" and config.devices not in _RAY_DEVICES:
        raise ConfigError(
            "Ray gives each worker its GPU, so it takes one device.", "Use auto, cpu or cuda."
        )
    unknown = [device for device in config.devices if not _DEVICE.fullmatch(device)]
    if unknown or not config.devices:
        raise ConfigError(
            f"There is no device {unknown[0]!r}." if unknown else "There must be a device.",
            "Use auto, cpu, cuda or, for the second GPU, cuda:1.",
        )


def _check_devices_per_job(config: Config) -> None:
    size, count = config.devices_per_job, len(config.devices)
    if config.parallel not in PARALLEL:
        raise ConfigError(
            f"Devices cannot share a job by {config.parallel!r}.", f"Use {', '.join(PARALLEL)}."
        )
    if size < 1:
        raise ConfigError("devices_per_job must be at least 1.", _HELP)
    if size == 1:
        return
    if config.engine:
        raise ConfigError(
            "devices_per_job is for LayerT2V's own engine.",
            "Leave it out: an engine of your own takes the devices that it wants.",
        )
    if config.parallel == "guidance" and size != 2:
        raise ConfigError(
            f"Guidance has two passes, which {size} devices cannot share.",
            "Set devices_per_job = 2, or parallel to ulysses or ring.",
        )
    if config.executor != "process":
        if config.devices != ("cpu",) and config.ray_gpus != size:
            raise ConfigError(
                f"A worker on Ray has {config.ray_gpus} GPUs, and a job would have {size}.",
                "Give ray_gpus and devices_per_job the same number.",
            )
    elif count % size or "auto" in config.devices:
        raise ConfigError(
            f"{size} devices a job are to be named, and there are {count}: "
            f"{', '.join(config.devices)}.",
            "Repeat --device for each of them, such as cuda:0 and cuda:1.",
        )


def _check_metrics(config: Config) -> None:
    if config.metrics_address is None:
        return
    _check_tcp_address("metrics_address", config.metrics_address)
    if not (is_local(config.metrics_address) or config.token_file or config.metrics_public):
        raise ConfigError(
            f"The metrics on {config.metrics_address} can be read from other machines.",
            "Give the server a token file, or state with metrics_public = true that all may.",
        )


def _check_web(config: Config) -> None:
    if config.web_address is None:
        return
    _check_tcp_address("web_address", config.web_address)
    if config.token_file is None:
        raise ConfigError(
            "The page of the queue is only for users with a token.",
            "Give the server a token file; layert2v-server token add NAME makes one.",
        )
    if not is_local(config.web_address) and config.tls_certificate is None:
        raise ConfigError(
            f"On {config.web_address} tokens would travel unencrypted from browsers.",
            "Set tls_certificate and tls_key, or serve the page on 127.0.0.1 behind a proxy.",
        )


def _check_tcp_address(name: str, address: str) -> None:
    if not _TCP_ADDRESS.fullmatch(address) or port_of(address) > MAX_PORT:
        raise ConfigError(
            f"{name} {address!r} is no address to serve on.",
            "Write it as HOST:PORT, such as 127.0.0.1:9464.",
        )


def parse_bucket_url(url: str) -> tuple[str, str]:
    """Return bucket and prefix of ``s3://BUCKET/PREFIX``. Raises ``ConfigError``."""
    bucket, _, prefix = url.removeprefix(BUCKET_SCHEME).partition("/")
    prefix = prefix.rstrip("/")
    has_dots = ".." in bucket or any(part.strip(".") == "" for part in prefix.split("/") if prefix)
    is_whole = url.startswith(BUCKET_SCHEME) and _BUCKET.fullmatch(bucket) and not has_dots
    if (
        not is_whole
        or (prefix and not _PREFIX.fullmatch(prefix))
        or len(prefix) > _MAX_PREFIX_CHARS
    ):
        raise ConfigError(
            f"artifacts {url!r} is no place for results.",
            "Write it as s3://BUCKET/PREFIX with letters, digits and . _ - = in the prefix; the "
            "endpoint belongs into AWS_ENDPOINT_URL.",
        )
    return bucket, prefix


def show_config(config: Config) -> str:
    """Return the settings as TOML; those that are not set are comments, a password is hidden."""
    lines = ["[server]"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "database":
            value = _PASSWORD.sub(r"\1***", value)
        if value is None:
            lines.append(f"# {field.name} is not set")
        else:
            plain = str(value) if isinstance(value, Path) else value
            # A JSON string, number, boolean or list of strings is also TOML.
            lines.append(f"{field.name} = {json.dumps(plain)}")
    return "\n".join(lines)


def _rename_deprecated(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table with the present names of its settings. Raises ``ConfigError``."""
    renamed = dict(table)
    for old, new in DEPRECATED_NAMES.items():
        if old in renamed:
            if new in renamed:
                raise ConfigError(f"[server] has both {new} and its old name {old}.", _HELP)
            _log.warning("the setting %s is now called %s; please rename it", old, new)
            renamed[new] = renamed.pop(old)
    return renamed


def _read_server_table(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("server", {})
    except OSError as error:
        raise ConfigError(
            f"The settings in {path} cannot be read: {error.strerror}.",
            "Name another file with --config or LAYERT2V_CONFIG.",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"The settings in {path} are not TOML: {error}.", "Correct the file."
        ) from error
    if not isinstance(table, dict):
        raise ConfigError(f"In {path}, server must be a table.", "Begin it with a line [server].")
    return table


def _convert_value(name: str, value: Any) -> Any:
    """Return a TOML value as the type of its field, which is the text of its annotation."""
    wanted = next(str(field.type) for field in dataclasses.fields(Config) if field.name == name)
    wanted, kind = wanted.removesuffix(" | None"), type(value).__name__
    if wanted == kind:
        return value
    if (wanted, kind) == ("float", "int"):
        return float(value)
    if (wanted, kind) == ("Path", "str"):
        return Path(value).expanduser()
    if (wanted, kind) == ("tuple[str, ...]", "list") and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise ConfigError(f"The setting {name} has a value of the wrong kind: {value!r}.", _HELP)
