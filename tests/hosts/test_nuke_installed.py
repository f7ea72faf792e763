"""The plug-in as it is installed, in every Python that a Nuke brings, with nothing beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fakes.scripts import load_script

REPOSITORY = Path(__file__).resolve().parents[2]
SMOKE = REPOSITORY / "tests" / "fakes" / "nk_smoke.py"
PYTHONS = ("3.9", "3.10", "3.11", "3.13")  # Nuke 14, 15, 16 and 17, and the platform of 2026


def python(version: str) -> str:
    """Return an interpreter of a version; skip where this machine has none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}"), *root.glob(f"versions/{version}.*/bin/python")]
    for candidate in filter(None, found):
        command = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return str(candidate)
    pytest.skip(f"there is no Python {version} on PATH or in pyenv: this Nuke stays untested")


@pytest.fixture(scope="session")
def build_nuke() -> ModuleType:
    return load_script("build_nuke")


@pytest.fixture(scope="module")
def installed(build_nuke: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the plug-in as install.py copies it into an artist's .nuke folder."""
    folder = tmp_path_factory.mktemp("artist")
    unpack(build_nuke, folder)
    install(folder)
    return folder / ".nuke" / "layert2v"


def unpack(build_nuke: ModuleType, folder: Path) -> None:
    build_nuke.copy_plugin(folder / "unpacked")
    (folder / ".nuke").mkdir()
    (folder / ".nuke" / "init.py").write_text("print('mine')\n")


def install(folder: Path, *options: str) -> None:
    command = [sys.executable, "-I", "-S", str(folder / "unpacked" / "install.py")]
    command += ["--nuke", str(folder / ".nuke"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("binding", ["PySide2", "PySide6", "none"])
@pytest.mark.parametrize("version", PYTHONS)
def test_it_works_in_every_python_with_nothing_else(
    installed: Path, version: str, binding: str
) -> None:
    command = [python(version), "-I", "-S", str(SMOKE), str(installed)]
    done = subprocess.run(
        [*command, str(REPOSITORY / "tests"), binding],
        capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(installed)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(version)


def test_installing_twice_and_taking_it_out(build_nuke: ModuleType, tmp_path: Path) -> None:
    unpack(build_nuke, tmp_path)
    install(tmp_path)
    left = tmp_path / ".nuke" / "layert2v" / "layert2v_nuke" / "old.py"
    left.touch()
    install(tmp_path)
    assert not left.exists()
    init = tmp_path / ".nuke" / "init.py"
    assert init.read_text().count("pluginAddPath('./layert2v')") == 1
    install(tmp_path, "--uninstall")
    assert init.read_text() == "print('mine')\n"
    assert [one.name for one in (tmp_path / ".nuke").iterdir()] == ["init.py"]


def test_the_folder_has_no_messages_and_no_other_packages(installed: Path) -> None:
    parts = {one.name for one in installed.iterdir()}
    assert parts == {
        "init.py", "menu.py", "selfcheck.py", "install.py", "layert2v", "layert2v_nuke",
    }  # fmt: skip
    assert not (installed / "layert2v" / "v1").exists()


def test_the_same_tree_makes_the_same_archive(build_nuke: ModuleType, tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        build_nuke.copy_plugin(tmp_path / name / "layert2v")
        build_nuke.write_archive(tmp_path / name / "layert2v", tmp_path / f"{name}.zip")
        archives.append((tmp_path / f"{name}.zip").read_bytes())
    assert archives[0] == archives[1]


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11"])
def test_nuke_s_own_python_runs_the_bundled_bridge(
    version: str, tmp_path: Path, build_nuke: ModuleType
) -> None:
    folder = next(build_nuke.BUILD.glob(f"wheels/linux-x64-{version}-*"), None)
    if folder is None or sys.platform != "linux":
        pytest.skip("`make nuke` has not been run on this machine: no packages to bundle")
    build_nuke.PYTHONS = (version,)
    build_nuke.copy_all(tmp_path, "linux-x64")
    from layert2v_nuke.session.bridge import _RUN_BUNDLED, PROTOCOL

    packages = tmp_path / "bridge" / f"py{version.replace('.', '')}"
    command = [python(version), "-I", "-S", "-c", _RUN_BUNDLED, str(packages)]
    call = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocol": PROTOCOL}}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    asked = "".join(json.dumps(request) + "\n" for request in (call, ping))
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    ready, answer = map(json.loads, done.stdout.splitlines()[:2])
    assert ready["result"]["python"].startswith(version), done.stderr
    assert answer == {"jsonrpc": "2.0", "id": 2, "result": {}}


def test_only_one_file_imports_nuke() -> None:
    package = REPOSITORY / "nuke_plugin" / "layert2v_nuke"
    assert [one.name for one in package.rglob("*.py") if "import nuke\n" in code(one)] == [
        "host.py"
    ]


def code(path: Path) -> str:
    """Return the imports of a file, not those in strings: buttons of the node import nuke, too."""
    import ast

    return "".join(
        ast.unparse(one) + "\n"
        for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(one, (ast.Import, ast.ImportFrom))
    )
