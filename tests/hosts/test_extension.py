"""The built zip in a fresh profile: it brings all it needs, and goes without a trace."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from hosts.blenders import Blender

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


def test_the_zip_installs_with_only_its_own_wheels(
    bare_blender: Blender, extension_zip: Path, tmp_path: Path
) -> None:
    fresh = Blender(bare_blender.version, bare_blender.python, tmp_path)
    seen = fresh.run("blender_install.py", extension_zip)
    assert seen["enabled"]
    assert ".".join(map(str, seen["version"][:2])) == fresh.version
    inside = tmp_path / "extensions" / ".local"
    assert all(Path(file).is_relative_to(inside) for file in seen["files"].values()), seen["files"]


def test_nothing_of_grpc_is_loaded_before_it_is_used(
    bare_blender: Blender, extension_zip: Path, tmp_path: Path
) -> None:
    fresh = Blender(bare_blender.version, bare_blender.python, tmp_path)
    loaded = fresh.run("blender_install.py", extension_zip)["at_once"]
    assert not {"grpc", "google.protobuf"} & set(loaded)


def test_registering_twice_leaves_nothing_behind(blender: Blender) -> None:
    seen = blender.run("blender_register.py")
    assert seen["left"] == [[], []]
    first, second = seen["added"]
    assert first == second
    assert any(trace.startswith("type LAYERT2V_") for trace in first)  # so a trace would be seen


def test_the_zip_holds_no_caches_and_no_other_platform(extension_zip: Path) -> None:
    names = zipfile.ZipFile(extension_zip).namelist()
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    wheels = {Path(name).name.split("-")[0] for name in names if name.endswith(".whl")}
    assert wheels == {"grpcio", "protobuf", "typing_extensions", "layert2v_client"}
