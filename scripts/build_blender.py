#!/usr/bin/env python3
"""Builds the Blender extension: one zip for each platform, each checked by Blender's own tool.

    scripts/build_blender.py [--into FOLDER] [PLATFORM ...]      without a name: all four

A zip holds the add-on, grpcio and protobuf for Python 3.11 (Blender 4.2 to 5.0) and 3.13 (5.1 on),
and the contract with the client as one more wheel. The wheels come through pip, by the versions and
hashes of requirements/blender.txt, and stay in build/blender between runs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from bundling import (
    ROOT,
    LockedWheels,
    copy_package,
    parse_arguments,
    project_table,
    run_python,
)

BUILD = ROOT / "build" / "blender"
ADDON = ROOT / "blender_addon" / "layert2v_blender"
PYTHONS = ("3.11", "3.13")
# Blender's name of a platform -> pip's, as old as Blender 4.2 itself runs on.
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_11_0_x86_64",),
}
WHEELS = LockedWheels(ROOT / "requirements" / "blender.txt", BUILD / "wheels", PLATFORMS)
CLIENT_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "layert2v-client"
version = "{version}"
description = "The contract and the client of LayerT2V."
license = "Apache-2.0"
license-files = ["LICENSE"]
requires-python = ">=3.9"
dependencies = {dependencies}

[tool.hatch.build.targets.wheel]
packages = ["layert2v", "layert2v_client"]
"""


def main(arguments: list[str]) -> None:
    """Build the archives that the command line names."""
    platforms, folder = parse_arguments(
        arguments, "Build the Blender extension.", list(PLATFORMS), BUILD
    )
    with tempfile.TemporaryDirectory() as scratch:
        client = build_client(Path(scratch))
        for platform in platforms:
            stage = Path(scratch, platform)
            wheels = [*WHEELS.fetch(platform, platform, PYTHONS), client]
            archive = build_extension(platform, wheels, stage, folder)
            print(f"{archive}  {archive.stat().st_size / 1e6:.1f} MB", flush=True)


def build_client(scratch: Path) -> Path:
    """Build the wheel of proto/ and client/ as they are in the tree, and return its path."""
    project = project_table()
    stage = scratch / "client"
    for package in ("proto/layert2v", "client/layert2v_client"):
        copy_package(ROOT / package, stage / Path(package).name)
    shutil.copy(ROOT / "LICENSE", stage)
    text = CLIENT_PROJECT.format(version=project["version"], dependencies=project["dependencies"])
    (stage / "pyproject.toml").write_text(text, encoding="utf-8")
    run_python(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", stage, stage
    )
    return next(stage.glob("*.whl"))


def build_extension(platform: str, wheels: list[Path], source: Path, target: Path) -> Path:
    """Build and validate the extension of one platform, and return its archive."""
    copy_package(ADDON, source)
    (source / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, source / "wheels")
    manifest = source / "blender_manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(add_wheels(text, platform, wheels), encoding="utf-8")
    identity = tomllib.loads(text)
    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{identity['id']}-{identity['version']}-{platform}.zip"
    run_python(blender_tool(), "build", "--source-dir", source, "--output-filepath", archive)
    run_python(blender_tool(), "validate", archive)
    return archive


def add_wheels(manifest: str, platform: str, wheels: list[Path]) -> str:
    """Return the manifest with its platform and wheels, which belong before its first table."""
    lists = f'platforms = ["{platform}"]\nwheels = [\n'
    lists += "".join(f'    "./wheels/{wheel.name}",\n' for wheel in wheels) + "]\n"
    head, table, tail = manifest.partition("\n[")
    return f"{head.rstrip()}\n{lists}{table}{tail}"


def blender_tool() -> Path:
    """Return the program behind ``blender --command extension``, which needs no Blender."""
    name = "lib/python3.*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    found = sorted(ROOT.glob(f".venv-bpy-*/{name}"))
    if not found:
        sys.exit("build_blender: no Blender environment; `scripts/setup bpy-4.5` makes one")
    return found[0]


if __name__ == "__main__":
    main(sys.argv[1:])
