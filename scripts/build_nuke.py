#!/usr/bin/env python3
"""Builds the Nuke plug-in: one zip for each platform.

    scripts/build_nuke.py [--into FOLDER] [PLATFORM ...]        without a name: all three

A zip holds the plug-in, the standard-library half of the contract that it reads manifests with,
and for the Pythons of Nuke 14 to 17 a folder with the client, grpcio and protobuf, which only the
bridge process sees. The wheels come through pip, by the versions and hashes of
requirements/nuke.txt, and stay in build/nuke. The same tree makes the same zip, to the byte.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "nuke"
LOCK = ROOT / "requirements" / "nuke.txt"
PYTHONS = ("3.9", "3.10", "3.11")  # Nuke 14, 15, 16 and 17
# Nuke's platforms -> pip's. The Macs of Nuke 14 and 15 are Intel, or run as one.
PLATFORMS = {
    "linux-x64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos": ("macosx_11_0_universal2", "macosx_10_14_universal2", "macosx_10_9_universal2"),
}
EPOCH = (2026, 1, 1, 0, 0, 0)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Build the Nuke plug-in.")
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(PLATFORMS))
    parser.add_argument("--into", type=Path, default=BUILD, help="folder of the zips")
    options = parser.parse_args(arguments)
    for platform in options.platforms:
        if platform not in PLATFORMS:
            parser.error(f"no platform {platform}; there are {', '.join(PLATFORMS)}")
    options.into.mkdir(parents=True, exist_ok=True)
    for platform in options.platforms or PLATFORMS:
        with tempfile.TemporaryDirectory() as scratch:
            stage = Path(scratch) / f"layert2v-nuke-{version()}"
            fill(stage, platform)
            archive = options.into.resolve() / f"{stage.name}-{platform}.zip"
            pack(stage, archive)
        print(f"{archive.name}  {archive.stat().st_size / 1e6:.1f} MB", flush=True)


def version() -> str:
    """The project's version."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def fill(stage: Path, platform: str) -> None:
    """The plug-in's folder as it is installed."""
    plugin(stage)
    for python in PYTHONS:
        packages = stage / "bridge" / f"py{python.replace('.', '')}"
        for wheel in wheels(platform, python):
            with zipfile.ZipFile(wheel) as content:
                content.extractall(packages)
        copy(ROOT / "proto" / "layert2v", packages / "layert2v")
        copy(ROOT / "client" / "layert2v_client", packages / "layert2v_client")


def plugin(stage: Path) -> None:
    """What Nuke itself sees: the plug-in and the contract without its messages."""
    copy(ROOT / "nuke_plugin", stage)
    copy(ROOT / "proto" / "layert2v", stage / "layert2v", "v1")
    shutil.copy(ROOT / "LICENSE", stage)
    shutil.copy(ROOT / "docs" / "nuke.md", stage / "README.md")


def wheels(platform: str, python: str) -> list[Path]:
    """What the lock names for one platform and one Python."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    folder = BUILD / "wheels" / f"{platform}-{python}-{digest[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            partial = Path(scratch, "wheels")
            download(platform, python, partial)
            partial.rename(folder)
    return sorted(folder.glob("*.whl"))


def download(platform: str, python: str, folder: Path) -> None:
    tags = [part for tag in PLATFORMS[platform] for part in ("--platform", tag)]
    abis = ("--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
        "--only-binary=:all:", "--require-hashes", "--implementation", "cp",
        "--python-version", python, *abis, *tags, "--dest", str(folder),
        "--requirement", str(pinned(python, folder)),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"build_nuke: {' '.join(command)} failed\n{done.stdout}{done.stderr}")


def pinned(python: str, folder: Path) -> Path:
    """The part of the lock that is for one Python: pip asks its own version, not the target's."""
    from packaging.requirements import Requirement

    wanted = []
    for block in LOCK.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        line, *hashes = block.split(" --hash=")
        marker = Requirement(line.strip()).marker
        if marker is None or marker.evaluate({"python_version": python,
                                              "python_full_version": f"{python}.99"}):  # fmt: skip
            name = line.split(";")[0].strip()
            wanted.append(" ".join([name, *(f"--hash={digest.strip()}" for digest in hashes)]))
    path = folder.with_name(f"{folder.name}.txt")
    path.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    return path


def pack(stage: Path, archive: Path) -> None:
    """Everything below ``stage``, in order and with one date."""
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as content:
        for path in sorted(stage.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(stage.parent).as_posix(), EPOCH)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                content.writestr(entry, path.read_bytes())
    partial.replace(archive)


def copy(source: Path, target: Path, *without: str) -> None:
    ignored = shutil.ignore_patterns("__pycache__", *without)
    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)


if __name__ == "__main__":
    main(sys.argv[1:])
