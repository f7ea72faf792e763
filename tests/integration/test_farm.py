"""A shot on a farm, by Open Job Description's own runner."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from fakes.tiny_model import write_tiny_model
from layert2v_engine.farm.cli import main

SHOTS = """
name = "seq010"
[[shot]]
name = "sh010"
out = "sh010"
command = ["generate", "a fox in the forest", "--frames", "1", "--steps", "1", "--seed", "3"]
"""


def test_openjd_runs_a_shot(tmp_path: Path) -> None:
    file = tmp_path / "shots.toml"
    file.write_text(SHOTS)
    models = write_tiny_model(tmp_path / "models")
    command = [sys.executable, "-m", "layert2v_engine.farm", "submit", str(file), "--to", "openjd"]
    command += ["--out", str(tmp_path / "job"), "--models", str(models), "--gpus", "1", "--run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "sh010" / "stack.json").exists()
    percents = [int(found) for found in re.findall(r"openjd_progress: (\d+)", done.stdout)]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    report = json.loads((tmp_path / "sh010.farm.json").read_text())
    assert report["exit_code"] == 0
    # The same task again: the stack is whole, and stays.
    assert main(["run", str(tmp_path / "job" / "shots.json"), "--index", "1"]) == 0
