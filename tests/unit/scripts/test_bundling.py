"""What the archives of all hosts are built with."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from fakes.scripts import load_script

LOCK = """\
grpcio==1.80.1 ; python_full_version < '3.10' \\
    --hash=sha256:aa \\
    --hash=sha256:ab
grpcio==1.85.1 ; python_full_version >= '3.10' \\
    --hash=sha256:ba
protobuf==6.33.6 \\
    --hash=sha256:ca
"""


@pytest.fixture(scope="module")
def bundling() -> ModuleType:
    return load_script("bundling")


@pytest.mark.parametrize(
    ("python", "grpcio"),
    [
        ("3.9", "grpcio==1.80.1 --hash=sha256:aa --hash=sha256:ab"),
        ("3.10", "grpcio==1.85.1 --hash=sha256:ba"),
        ("3.13", "grpcio==1.85.1 --hash=sha256:ba"),
    ],
)
def test_a_lock_is_read_for_the_python_of_the_host(
    bundling: ModuleType, tmp_path: Path, python: str, grpcio: str
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    lines = bundling.requirements_for(lock, python).splitlines()
    assert lines == [grpcio, "protobuf==6.33.6 --hash=sha256:ca"]


def test_all_platforms_are_built_where_none_is_named(bundling: ModuleType, tmp_path: Path) -> None:
    parse = bundling.parse_arguments
    assert parse([], "", ["linux", "macos"], tmp_path) == (["linux", "macos"], tmp_path)
    assert parse(["macos", "--into", str(tmp_path / "a")], "", ["linux", "macos"], tmp_path) == (
        ["macos"],
        tmp_path / "a",
    )


def test_an_unknown_platform_is_refused(
    bundling: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bundling.parse_arguments(["amiga"], "", ["linux"], tmp_path)
    assert "no platform amiga; there are linux" in capsys.readouterr().err


def test_caches_are_not_copied(bundling: ModuleType, tmp_path: Path) -> None:
    for name in ("a.py", "v1/b.py", "__pycache__/a.pyc"):
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).touch()
    bundling.copy_package(tmp_path / "package", tmp_path / "copy", "v1")
    assert [path.name for path in (tmp_path / "copy").rglob("*")] == ["a.py"]
