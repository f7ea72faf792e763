"""Ctrl-C while modules load, in a process of its own each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INTERRUPT = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(0.2)"


def run(folder: Path, program: str) -> tuple[int, str, str]:
    imports = "import sys; from layert2v.interrupts import loading\n"
    done = subprocess.run(
        [sys.executable, "-c", imports + program], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_a_program_that_loads_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(f"try:\n {INTERRUPT}\nexcept BaseException: pass")
    ended = run(tmp_path, "with loading():\n import slow\nprint('loaded')")
    assert ended == (130, "", "Interrupted.\n")


def test_an_import_behind_it_is_whole_before_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(f"try:\n {INTERRUPT}\nexcept BaseException: print('caught')")
    program = """
with loading(): pass
try:
    import slow
    import time
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", "slow" in sys.modules)
"""
    assert run(tmp_path, program) == (0, "interrupted True\n", "")


def test_work_is_interrupted_where_it_is(tmp_path: Path) -> None:
    program = f"""
with loading(): pass
try:
    {INTERRUPT}
except KeyboardInterrupt:
    print("interrupted")
"""
    assert run(tmp_path, program) == (0, "interrupted\n", "")
