#!/usr/bin/env python3
"""Builds the Blender extension: one zip for each platform, each checked by Blender's own tool.

    scripts/build_blender.py [--into FOLDER] [PLATFORM ...]      without a name: all four

A zip holds the add-on, grpcio and protobuf for Python 3.11 (Blender 4.2 to 5.0) and 3.13 (5.1 on),
and the contract with the client as one more wheel. The wheels come through pip, by the versions and
hashes of requirements/blender.txt, and stay in build/blender between runs.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "blender"
ADDON = ROOT / "blender_addon" / "layert2v_blender"
LOCK = ROOT / "requirements" / "blender.txt"
PYTHONS = ("3.11", "3.13")
# Blender's name of a platform -> pip's, as old as Blender 4.2 itself runs on.
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_11_0_x86_64",),
}
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
    parser = argparse.ArgumentParser(description="Build the Blender extension.")
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=", ".join(PLATFORMS))
    parser.add_argument("--into", type=Path, default=BUILD, help="folder of the zips")
    options = parser.parse_args(arguments)
    for platform in options.platforms:
        if platform not in PLATFORMS:
            parser.error(f"no platform {platform}; there are {', '.join(PLATFORMS)}")
    with tempfile.TemporaryDirectory() as scratch:
        client = build_client(Path(scratch))
        for platform in options.platforms or PLATFORMS:
            stage = Path(scratch, platform)
            archive = build_extension(
                platform, [*bundled_wheels(platform), client], stage, options.into.resolve()
            )
            print(f"{archive}  {archive.stat().st_size / 1e6:.1f} MB", flush=True)


def build_client(scratch: Path) -> Path:
    """The wheel of proto/ and client/ as they are in the tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stage = scratch / "client"
    for package in ("proto/layert2v", "client/layert2v_client"):
        copy(ROOT / package, stage / Path(package).name)
    shutil.copy(ROOT / "LICENSE", stage)
    text = CLIENT_PROJECT.format(version=project["version"], dependencies=project["dependencies"])
    (stage / "pyproject.toml").write_text(text, encoding="utf-8")
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", stage, stage)
    return next(stage.glob("*.whl"))


def bundled_wheels(platform: str) -> list[Path]:
    """What the lock names, for every Python that a Blender of this platform may bring."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    folder = BUILD / "wheels" / f"{platform}-{digest[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            partial = Path(scratch, "wheels")
            for python in PYTHONS:
                download(platform, python, partial)
            with contextlib.suppress(OSError):  # another run was here first
                partial.rename(folder)
    return sorted(folder.glob("*.whl"))


def download(platform: str, python: str, folder: Path) -> None:
    tags = [part for tag in PLATFORMS[platform] for part in ("--platform", tag)]
    abis = ("--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none")
    run(
        "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--require-hashes", "--implementation", "cp", "--python-version", python,
        *abis, *tags, "--dest", folder, "--requirement", LOCK,
    )  # fmt: skip


def build_extension(platform: str, wheels: list[Path], source: Path, target: Path) -> Path:
    copy(ADDON, source)
    (source / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, source / "wheels")
    manifest = source / "blender_manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(with_wheels(text, platform, wheels), encoding="utf-8")
    identity = tomllib.loads(text)
    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{identity['id']}-{identity['version']}-{platform}.zip"
    run(blender_tool(), "build", "--source-dir", source, "--output-filepath", archive)
    run(blender_tool(), "validate", archive)
    return archive


def with_wheels(manifest: str, platform: str, wheels: list[Path]) -> str:
    """The manifest with its platform and wheels, which belong before its first table."""
    lists = f'platforms = ["{platform}"]\nwheels = [\n'
    lists += "".join(f'    "./wheels/{wheel.name}",\n' for wheel in wheels) + "]\n"
    head, table, tail = manifest.partition("\n[")
    return f"{head.rstrip()}\n{lists}{table}{tail}"


def blender_tool() -> Path:
    """The program behind ``blender --command extension``; any Python runs it, without Blender."""
    name = "lib/python3.*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    found = sorted(ROOT.glob(f".venv-bpy-*/{name}"))
    if not found:
        sys.exit("build_blender: no Blender environment; `scripts/setup bpy-4.5` makes one")
    return found[0]


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def run(*arguments: str | Path) -> None:
    """A Python program whose output matters only when it fails."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"build_blender: {' '.join(command)} failed\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main(sys.argv[1:])
