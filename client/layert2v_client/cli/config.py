"""The configuration of the command line: one TOML file and one token.

``LAYERT2V_CONFIG`` names the file; its table ``[client]`` may hold::

    server = "render01:7433"      # used where --server is not given; none means an embedded server
    token = "..."                 # LAYERT2V_TOKEN and --token come first
    data = "/fast/layert2v"       # jobs of the embedded server
    models = "/fast/models"       # models of the embedded server
    tls = true                    # default: only to other machines
    tls_authority = "ca.pem"      # certificates, PEM
    tls_certificate = "me.pem"
    tls_key = "me.key"
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layert2v.home import data_folder
from layert2v_client.connection import Tls
from layert2v_client.errors import InvalidRequest

_TEXTS = ("server", "token", "data", "models", "tls_authority", "tls_certificate", "tls_key")


@dataclass(frozen=True)
class ClientConfig:
    """Where and how to connect. ``server`` empty means an embedded server with ``data``."""

    server: str = ""
    token: str = ""
    data: Path = field(default_factory=data_folder)
    models: Path | None = None
    tls: Tls | bool | None = None


def load_config(environment: Mapping[str, str]) -> ClientConfig:
    """Return the configuration of this call. Raises ``InvalidRequest`` for a wrong file."""
    name = environment.get("LAYERT2V_CONFIG", "")
    table = _client_table(Path(name)) if name else {}
    for key, value in table.items():
        if key not in (*_TEXTS, "tls"):
            raise _wrong(name, f"[client] knows no {key!r}")
        if not isinstance(value, bool if key == "tls" else str):
            raise _wrong(name, f"{key} must be {'true or false' if key == 'tls' else 'text'}")
    files = [Path(table[key]) if key in table else None for key in _TEXTS[4:]]
    return ClientConfig(
        server=table.get("server", ""),
        token=environment.get("LAYERT2V_TOKEN", "") or table.get("token", ""),
        data=Path(table["data"]) if "data" in table else data_folder(),
        models=Path(table["models"]) if "models" in table else None,
        tls=Tls(*files) if any(files) else table.get("tls"),
    )


def _client_table(path: Path) -> dict[str, Any]:
    try:
        toml = importlib.import_module("tomllib")
    except ModuleNotFoundError as error:
        raise _wrong(str(path), "reading it needs Python 3.11") from error
    try:
        table = toml.loads(path.read_text(encoding="utf-8")).get("client", {})
    except (OSError, ValueError) as error:
        raise _wrong(str(path), getattr(error, "strerror", None) or str(error)) from error
    if not isinstance(table, dict):
        raise _wrong(str(path), "client must be a table")
    return table


def _wrong(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(
        "CONFIG_INVALID",
        f"The configuration file {path} cannot be used: {what}.",
        "Correct it, or unset LAYERT2V_CONFIG.",
    )
