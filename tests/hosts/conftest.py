"""Every Blender there is, with the extension built from this tree installed in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.live_server import LiveServer, live_server
from hosts.blenders import PYTHONS, Blender, blender_python, build_extension, build_once

# The real engine next to a Blender that draws in software: a worker may be silent for a while.
LONG_LEASES = {"heartbeat_s": 1.0, "lease_s": 120.0}


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the extension for this machine."""
    folder = build_once(tmp_path_factory.getbasetemp(), "extension", build_extension)
    return next(folder.glob("*.zip"))


@pytest.fixture(scope="session", params=list(PYTHONS))
def bare_blender(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Blender:
    """Return a Blender with an empty profile."""
    version: str = request.param
    python = blender_python(version)
    if not python.is_file():
        message = f"{python} is absent; `make test-hosts` makes it with Python {PYTHONS[version]}"
        # A person's machine may lack the Python of a Blender; where changes are judged it may not.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return Blender(version, python, tmp_path_factory.mktemp(f"profile-{version}"))


@pytest.fixture(scope="session")
def blender(bare_blender: Blender, extension_zip: Path) -> Blender:
    """Return a Blender with the extension; scripts enable it with ``blender_helpers``."""
    bare_blender.run("blender_install.py", extension_zip)
    return bare_blender


@pytest.fixture(scope="session")
def mini_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Start a server process with the real engine and the Mini, for tests that share its jobs."""
    with live_server(
        tmp_path_factory.mktemp("server") / "data", engine="", **LONG_LEASES
    ) as server:
        yield server
