"""Helpers that build the archives of all hosts: locked wheels, copied packages, Python programs.

Not called ``packaging``: beside a script it would hide the library of that name.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class LockedWheels:
    """The wheels of a lock file for the Pythons of a host, each set downloaded once.

    ``platforms`` maps a host's platform to pip's tags. Sets are kept in ``folder``, named after the
    lock's hash, so that another lock is downloaded anew.
    """

    lock: Path
    folder: Path
    platforms: Mapping[str, tuple[str, ...]]

    def fetch(self, name: str, platform: str, pythons: Sequence[str]) -> list[Path]:
        """Return the wheels for one platform and ``pythons``, kept as the set ``name``."""
        digest = hashlib.sha256(self.lock.read_bytes()).hexdigest()
        kept = self.folder / f"{name}-{digest[:12]}"
        if not kept.is_dir():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
                partial = Path(scratch, "wheels")
                for python in pythons:
                    self._download(platform, python, partial)
                with contextlib.suppress(OSError):  # another run was first
                    partial.rename(kept)
        return sorted(kept.glob("*.whl"))

    def _download(self, platform: str, python: str, folder: Path) -> None:
        tags = [part for tag in self.platforms[platform] for part in ("--platform", tag)]
        abis = ("--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none")
        requirements = folder.with_name(f"requirements-{python}.txt")
        requirements.write_text(requirements_for(self.lock, python), encoding="utf-8")
        run_python(
            "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
            "--require-hashes", "--implementation", "cp", "--python-version", python,
            *abis, *tags, "--dest", folder, "--requirement", requirements,
        )  # fmt: skip


def requirements_for(lock: Path, python: str) -> str:
    """Return the lines of a lock for one Python: pip evaluates markers for its own version."""
    environment = {"python_version": python, "python_full_version": f"{python}.99"}
    lines = []
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split(" --hash=")
        marker = Requirement(requirement.strip()).marker
        if marker is None or marker.evaluate(environment):
            name = requirement.split(";")[0].strip()
            lines.append(" ".join([name, *(f"--hash={digest.strip()}" for digest in hashes)]))
    return "\n".join(lines) + "\n"


def parse_arguments(
    arguments: Sequence[str], description: str, platforms: Sequence[str], folder: Path
) -> tuple[list[str], Path]:
    """Return the platforms to build for, all without a name, and the folder for the archives."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(platforms))
    parser.add_argument("--into", type=Path, default=folder, help="folder of the zips")
    args = parser.parse_args(arguments)
    for platform in args.platforms:
        if platform not in platforms:
            parser.error(f"no platform {platform}; there are {', '.join(platforms)}")
    return args.platforms or list(platforms), args.into.resolve()


def project_table() -> dict[str, Any]:
    """Return the ``[project]`` table of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def copy_package(source: Path, target: Path, *without: str) -> None:
    """Copy a folder without caches and without the names in ``without``."""
    ignored = shutil.ignore_patterns("__pycache__", *without)
    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)


def run_python(*arguments: str | Path) -> None:
    """Run a Python program in the repository; exit with its output when it fails."""
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed\n{result.stdout}{result.stderr}")
