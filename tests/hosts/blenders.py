"""Real Blenders for tests: an environment each, and a throw-away profile with the built extension.

Knows processes and folders; what runs inside Blender are the ``blender_*.py`` scripts beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent
PYTHONS = {"4.2": "3.11", "4.5": "3.11", "5.0": "3.11", "5.2": "3.13"}  # what each Blender brings
# For tests of what lies between the client and a server, and asks nothing new of Blender.
oldest_and_newest = pytest.mark.parametrize("bare_blender", ["4.2", "5.2"], indirect=True)
PLATFORMS = {
    ("Linux", "x86_64"): "linux-x64",
    ("Windows", "AMD64"): "windows-x64",
    ("Darwin", "arm64"): "macos-arm64",
    ("Darwin", "x86_64"): "macos-x64",
}


def blender_python(version: str) -> Path:
    """Return the interpreter of that Blender's environment, which need not exist."""
    return REPOSITORY / f".venv-bpy-{version}" / "bin" / "python"


def build_extension(folder: Path) -> None:
    """Build the zip for this machine from the tree as it is."""
    name = PLATFORMS[platform.system(), platform.machine()]
    script = str(REPOSITORY / "scripts/build_blender.py")
    command = [sys.executable, script, "--into", str(folder), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def build_once(base: Path, name: str, build: Callable[[Path], object]) -> Path:
    """Return a folder that ``build`` makes for all processes of this run; ``base`` is pytest's."""
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = shared / f"{name}.part"
            build(partial)
            partial.rename(folder)
    return folder


@dataclass(frozen=True)
class Blender:
    """One Blender and its user folder. ``python`` has bpy, and neither grpc nor our packages."""

    version: str
    python: Path
    profile: Path

    def start(self, script: str, *arguments: str | Path, **extra: str) -> subprocess.Popen[str]:
        """Start a script of this folder inside Blender, its output piped."""
        # Neither our checkout nor an artist's packages may stand in for a missing wheel.
        hidden = {"PYTHONPATH", "PYTHONHOME", "LAYERT2V_TOKEN", "LAYERT2V_CONFIG"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"PYTHONNOUSERSITE": "1", "PYTHONFAULTHANDLER": "1"}
        environment |= {"BLENDER_USER_RESOURCES": str(self.profile)}
        return subprocess.Popen(
            [self.python, SCRIPTS / "blender_run.py", script, *arguments],
            env={**environment, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self, script: str, *arguments: str | Path, timeout_s: float = 120, **extra: str
    ) -> dict[str, Any]:
        """Run a script to its end; return what it wrote with ``blender_helpers.write_result``."""
        return self.finish(self.start(script, *arguments, **extra), timeout_s=timeout_s)

    def finish(self, process: subprocess.Popen[str], *, timeout_s: float) -> dict[str, Any]:
        """Wait for a script's end; return its result."""
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise AssertionError(f"the script did not end in {timeout_s:g} s:\n{output}") from None
        # What fails while Blender draws or a timer ticks is printed and otherwise goes unnoticed.
        assert process.returncode == 0, output
        assert "Traceback" not in output, output
        results = [line for line in output.splitlines() if line.startswith("RESULT ")]
        found: dict[str, Any] = json.loads(results[-1].partition(" ")[2]) if results else {}
        return found
