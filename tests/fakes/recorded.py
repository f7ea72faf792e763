"""Copies of the files that v0.1 wrote, and the commands that open them."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from layert2v import stack as manifest

RECORDED = Path(__file__).parents[1] / "compatibility" / "v0_1"
PLACE = "/shots/v0_1"  # where they were when they were written
TOKEN = "open sesame"  # noqa: S105  of the recorded server's one user


def copy_of(name: str, folder: Path) -> Path:
    """Return a recorded file or folder of a test's own."""
    source, target = RECORDED / name, folder / name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
    return target


def moved_text(name: str, folder: Path) -> str:
    """Return a recorded text whose paths point into ``folder``."""
    return (RECORDED / name).read_text(encoding="utf-8").replace(PLACE, folder.as_posix())


def data_folder(folder: Path) -> Path:
    """Return the recorded server's data, its database made from the dump."""
    data = copy_of("server", folder)
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as database:
        database.executescript((data / "jobs.sql").read_text(encoding="utf-8"))
    return data


def run(program: str, *words: str | Path, **environment: str) -> str:
    """Run a console command of this environment and return its stdout."""
    done = call(program, *words, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def call(program: str, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a console command to whatever end it comes; of LAYERT2V_ variables it sees only these."""
    path = Path(sys.executable).with_name(program)
    outside = {name: value for name, value in os.environ.items() if name[:9] != "LAYERT2V_"}
    inside = {**outside, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([path, *words], env=inside, capture_output=True, text=True, check=False)


def content(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def check_states(folder: Path, states: int) -> None:
    """Each state has its manifest and every file that it names, to the bit."""
    here = content(folder)
    assert manifest.read(folder).state == states
    for number in range(1, states + 1):
        state = manifest.read_state(folder, number)
        assert state.state == number
        assert {file.path: file.sha256 for file in state.files()}.items() <= here.items()
