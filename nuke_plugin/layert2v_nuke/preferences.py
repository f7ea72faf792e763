"""Preferences of the artist or the studio, in one JSON file that only its owner can read.

The file is ``layert2v.json`` in the ``.nuke`` folder. ``LAYERT2V_PYTHON`` and ``LAYERT2V_TOKEN``
come before what it says, so that a studio can set them once for a machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from layert2v.atomic_write import atomic_write
from layert2v_nuke.errors import BadRequest

FILE_NAME = "layert2v.json"


@dataclass(frozen=True)
class Preferences:
    """Where the server is, and which Pythons and folders are used.

    ``server`` "" is a server on this machine, started when needed with ``server_python``.

    ``python`` runs the bridge; "" is Nuke's own with the bundled packages. ``stacks`` is where
    results go; "" is beside the script. ``path_map`` pairs prefixes of the server's paths with
    this machine's, for storage that both reach. ``nearest_colorspace`` shows a stack whose color
    space the project lacks in the nearest one, and not raw.
    """

    server: str = ""
    token: str = ""
    certificate: str = ""
    python: str = ""
    server_python: str = ""
    stacks: str = ""
    cache: str = ""
    cache_limit_gb: float = 20.0
    path_map: tuple[tuple[str, str], ...] = ()
    nearest_colorspace: bool = False

    def bridge_settings(self) -> dict[str, Any]:
        """Return the settings that the bridge connects with."""
        return {
            "server": self.server,
            "token": self.token,
            "certificate": self.certificate,
            "cache": self.cache,
            "cache_limit_bytes": int(self.cache_limit_gb * 1e9),
            "path_map": [list(pair) for pair in self.path_map],
            "python": self.server_python,
        }


def nuke_folder() -> Path:
    """Return the ``.nuke`` folder of this user."""
    return Path.home() / ".nuke"


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Preferences:
    """Return the preferences of this session. Raises ``BadRequest`` for an invalid file."""
    found = _read(path) if path.exists() else Preferences()
    return replace(
        found,
        python=environment.get("LAYERT2V_PYTHON", "") or found.python,
        token=environment.get("LAYERT2V_TOKEN", "") or found.token,
    )


def save(preferences: Preferences, path: Path) -> None:
    """Write the file, readable for its owner alone. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(asdict(preferences), indent=1) + "\n", mode=0o600)


def parse_path_map(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ``theirs=ours; theirs=ours``. Raises ``BadRequest``."""
    found = [part.partition("=") for part in text.split(";") if part.strip()]
    if any(not sign or not theirs.strip() or not ours.strip() for theirs, sign, ours in found):
        raise BadRequest("PREFERENCES_INVALID", "Write server paths as theirs=ours; theirs=ours.")
    return tuple((theirs.strip(), ours.strip()) for theirs, _, ours in found)


def parse_cache_limit(text: str) -> float:
    """Return a cache limit in gigabytes. Raises ``BadRequest``."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise BadRequest("PREFERENCES_INVALID", "The cache limit is a number of gigabytes.")
    return value


def _read(path: Path) -> Preferences:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = asdict(Preferences())
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"it knows no {key!r}")
            for kind, words in ((str, "text"), (bool, "true or false")):
                if isinstance(known[key], kind) and not isinstance(value, kind):
                    raise ValueError(f"{key} must be {words}")
        pairs = tuple((str(theirs), str(ours)) for theirs, ours in values.pop("path_map", []))
        limit = float(values.pop("cache_limit_gb", Preferences.cache_limit_gb))
        return Preferences(**values, path_map=pairs, cache_limit_gb=limit)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadRequest(
            "PREFERENCES_INVALID",
            f"The preferences in {path} cannot be used: {error}.",
            "Correct the file, or delete it.",
        ) from error
