#!/usr/bin/env python3
"""Builds the Nuke plug-in: one zip for each platform.

    scripts/build_nuke.py [--into FOLDER] [PLATFORM ...]        without a name: all three

A zip holds the plug-in, the standard-library half of the contract that it reads manifests with,
and for the Pythons of Nuke 14 to 17 a folder with the client, grpcio and protobuf, which only the
bridge process sees. The wheels come through pip, by the versions and hashes of
requirements/nuke.txt, and stay in build/nuke. The same tree makes the same zip, to the byte.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from bundling import ROOT, LockedWheels, copy_package, parse_arguments, project_table

BUILD = ROOT / "build" / "nuke"
PYTHONS = ("3.9", "3.10", "3.11")  # Nuke 14, 15, 16 and 17
# Nuke's platforms -> pip's. The Macs of Nuke 14 and 15 are Intel, or run as one.
PLATFORMS = {
    "linux-x64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos": ("macosx_11_0_universal2", "macosx_10_14_universal2", "macosx_10_9_universal2"),
}
WHEELS = LockedWheels(ROOT / "requirements" / "nuke.txt", BUILD / "wheels", PLATFORMS)
EPOCH = (2026, 1, 1, 0, 0, 0)


def main(arguments: list[str]) -> None:
    """Build the archives that the command line names."""
    platforms, folder = parse_arguments(
        arguments, "Build the Nuke plug-in.", list(PLATFORMS), BUILD
    )
    folder.mkdir(parents=True, exist_ok=True)
    for platform in platforms:
        with tempfile.TemporaryDirectory() as scratch:
            stage = Path(scratch) / f"layert2v-nuke-{project_table()['version']}"
            copy_all(stage, platform)
            archive = folder / f"{stage.name}-{platform}.zip"
            write_archive(stage, archive)
        print(f"{archive.name}  {archive.stat().st_size / 1e6:.1f} MB", flush=True)


def copy_all(stage: Path, platform: str) -> None:
    """Copy the plug-in's folder as it is installed: the plug-in and the bridge's packages."""
    copy_plugin(stage)
    for python in PYTHONS:
        packages = stage / "bridge" / f"py{python.replace('.', '')}"
        for wheel in WHEELS.fetch(f"{platform}-{python}", platform, [python]):
            with zipfile.ZipFile(wheel) as content:
                content.extractall(packages)
        copy_package(ROOT / "proto" / "layert2v", packages / "layert2v")
        copy_package(ROOT / "client" / "layert2v_client", packages / "layert2v_client")


def copy_plugin(stage: Path) -> None:
    """Copy what Nuke itself sees: the plug-in and the contract without its messages."""
    copy_package(ROOT / "nuke_plugin", stage)
    copy_package(ROOT / "proto" / "layert2v", stage / "layert2v", "v1")
    shutil.copy(ROOT / "LICENSE", stage)
    shutil.copy(ROOT / "docs" / "nuke.md", stage / "README.md")


def write_archive(stage: Path, archive: Path) -> None:
    """Write everything below ``stage`` as a zip, in order and with one date."""
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as content:
        for path in sorted(stage.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(stage.parent).as_posix(), EPOCH)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                content.writestr(entry, path.read_bytes())
    partial.replace(archive)


if __name__ == "__main__":
    main(sys.argv[1:])
