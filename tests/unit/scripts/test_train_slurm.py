"""The SLURM script on a machine without SLURM: what it starts, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "train_slurm.sh"
FAKES = {
    "torchrun": 'printf "%s\\n" "$@" > "$CALLS/torchrun"; exit "${STATUS:-0}"',
    # Runs what it is given once, or waits as a training does until it is told to stop.
    "srun": 'shift; [ -z "$WAIT" ] && exec "$@"; '
    'trap "touch $CALLS/stopped; exit 143" TERM; touch "$CALLS/began"; '
    "while :; do sleep 0.05; done",
    "scontrol": 'echo "$@" >> "$CALLS/scontrol"; [ "$1" = show ] && printf "node7\\nnode8\\n"; :',
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    commands, calls = tmp_path / "bin", tmp_path / "calls"
    for folder in (commands, calls):
        folder.mkdir()
    for name, body in FAKES.items():
        (commands / name).write_text(f"#!/bin/sh\n{body}\n")
        (commands / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return kept | {"PATH": f"{commands}:{os.environ['PATH']}", "CALLS": str(calls), "WAIT": ""}


def slurm(nodes: int) -> dict[str, str]:
    names = {"SLURM_JOB_ID": "41", "SLURM_NNODES": str(nodes), "SLURM_GPUS_ON_NODE": "8"}
    return names | {"SLURM_JOB_NODELIST": "node[7-8]"}


def torchrun_arguments(environment: dict[str, str], *arguments: str) -> list[str]:
    subprocess.run([SCRIPT, *arguments], env=environment, check=True, timeout=60)
    return (Path(environment["CALLS"]) / "torchrun").read_text().splitlines()


def test_without_slurm_it_is_torchrun_on_one_machine(environment: dict[str, str]) -> None:
    found = torchrun_arguments(environment | {"GPUS": "2"}, "joint", "--run", "a run")
    assert found[:4] == ["--nnodes", "1", "--nproc-per-node", "2"]
    assert "localhost:29500" in found
    assert found[-5:] == ["layert2v-engine", "train", "joint", "--run", "a run"]
    assert not (Path(environment["CALLS"]) / "scontrol").exists()


def test_nodes_meet_at_the_first_and_encoding_is_another_command(
    environment: dict[str, str],
) -> None:
    found = torchrun_arguments(environment | slurm(2) | {"ENCODE": "1"}, "data", "--out", "latents")
    assert found[:4] == ["--nnodes", "2", "--nproc-per-node", "8"]
    assert found[found.index("--rdzv-id") + 1] == "41"
    assert "node7:29500" in found
    assert found[-5:] == ["layert2v-engine", "encode-data", "data", "--out", "latents"]


def test_a_failed_training_fails_the_job(environment: dict[str, str]) -> None:
    run = subprocess.run([SCRIPT, "joint"], env=environment | {"STATUS": "3"}, timeout=60)
    assert run.returncode == 3


def test_a_job_that_is_stopped_saves_and_goes_back_into_the_queue(
    environment: dict[str, str],
) -> None:
    calls = Path(environment["CALLS"])
    job = subprocess.Popen([SCRIPT, "joint"], env=environment | slurm(1) | {"WAIT": "1"})
    while not (calls / "began").exists():
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == 143
    assert (calls / "stopped").exists()
    assert (calls / "scontrol").read_text() == "requeue 41\n"
