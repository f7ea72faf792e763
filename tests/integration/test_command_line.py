"""`layert2v` as a process with a server of its own: what an artist types, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fakes.fake_engine import ENGINE, Behaviour
from fakes.live_server import QUICK_SETTINGS, REPOSITORY
from layert2v import stack
from layert2v_client import EmbeddedServer, EmbeddedServerFailed, connect

TIMEOUT_S = 60
PROGRAM = "import sys; from layert2v_cli import main; sys.exit(main())"
# Interrupts itself in the middle of what takes a second.
WHILE_IT_LOADS = """
import os, signal, sys
class Interrupt:
    def find_spec(name, *_):
        if name == "MODULE":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return a configuration with the fake engine, and a folder for the jobs."""
    server = {"engine": ENGINE, "devices": ["cpu"], **QUICK_SETTINGS}
    lines = ["[server]", *(f"{name} = {json.dumps(value)}" for name, value in server.items())]
    lines += ["[client]", f"data = {json.dumps(str(tmp_path / 'data'))}"]
    config = tmp_path / "layert2v.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    folders = [REPOSITORY / name for name in ("tests", "proto", "client", "server", "engine")]
    path = os.pathsep.join(str(folder) for folder in folders)
    return {**os.environ, "LAYERT2V_CONFIG": str(config), "PYTHONPATH": path}


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("layert2v_cli", "grpc"),
        ("layert2v_server.__main__", "layert2v_server.auth"),
        ("layert2v_engine.__main__", "layert2v_engine.errors"),
        ("layert2v_engine.farm.__main__", "layert2v_engine.farm.run"),
    ],
)
def test_an_interruption_while_it_loads(package: str, module: str) -> None:
    program = f"import sys; from {package} import main; sys.exit(main())"
    arguments = ["-c", WHILE_IT_LOADS.replace("MODULE", module) + program, "--help"]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def start(environment: dict[str, str], folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(environment: dict[str, str], folder: Path, *words: str) -> tuple[int, str, str]:
    process = start(environment, folder, *words)
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def servers_with_data(folder: Path) -> list[psutil.Process]:
    """Return the server processes that use a folder in a data folder."""
    wanted = str(folder / "data")
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if wanted in " ".join(process.info["cmdline"] or ()) and "serve" in process.info["cmdline"]
    ]


def remaining_call_folders(folder: Path) -> list[Path]:
    """Return the data folders of calls that are over."""
    return list((folder / "data" / "calls").iterdir())


def test_two_calls_at_once_leave_their_stacks_and_nothing_else(
    environment: dict[str, str], tmp_path: Path
) -> None:
    calls = {
        name: start(environment, tmp_path, "generate", f"a red {name}", "--seed=7", "--out", name)
        for name in ("fox", "owl")
    }
    for name, call in calls.items():
        out, err = call.communicate(timeout=TIMEOUT_S)
        assert (call.returncode, out) == (0, f"{name}\n"), err
        assert "starting the engine (0%)" in err
        made = stack.read(tmp_path / name)
        assert (made.seed, made.frames, made.prompt) == (7, 5, f"a red {name}")
    assert servers_with_data(tmp_path) == remaining_call_folders(tmp_path) == []


def test_what_a_call_leaves_after_a_failure_is_cleared_away_a_week_later(
    environment: dict[str, str], tmp_path: Path
) -> None:
    refused = ("generate", "a fox", "--negative", Behaviour(fault="engine_error").to_prompt())
    assert run(environment, tmp_path, *refused)[0] == 1
    (left,) = remaining_call_folders(tmp_path)
    assert (left / "server.log").exists()
    week_ago = time.time() - 7.1 * 86400
    os.utime(left, (week_ago, week_ago))
    code, out, err = run(environment, tmp_path, "info")
    assert (code, "model    mini: Fake Mini" in out) == (0, True), err
    assert "you      local: " in out
    assert " of 100 jobs; priorities low, normal, high\n" in out
    assert remaining_call_folders(tmp_path) == []


def test_ctrl_c_cancels_the_job_and_ends_the_server(
    environment: dict[str, str], tmp_path: Path
) -> None:
    slow = Behaviour(step_s=0.05).to_prompt()
    words = ("generate", "a fox", "--steps", "1000", "--negative", slow, "--out", "fox")
    process = start(environment, tmp_path, *words)
    said = ""
    while "denoising" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (130, "")
    assert "The job is cancelled." in err
    assert not (tmp_path / "fox").exists()
    assert servers_with_data(tmp_path) == remaining_call_folders(tmp_path) == []


def test_a_client_that_is_killed_takes_its_server_along(
    environment: dict[str, str], tmp_path: Path
) -> None:
    process = start(
        environment, tmp_path, "generate", "a fox", "--negative", Behaviour(step_s=9).to_prompt()
    )
    while "job " not in process.stderr.readline():
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while servers_with_data(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_embedded_server_says_why_it_did_not_start(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with EmbeddedServer(tmp_path / "data") as first:
        assert first.address.startswith("127.0.0.1:")
        with pytest.raises(EmbeddedServerFailed, match="Another server") as caught:
            EmbeddedServer(tmp_path / "data")
        assert str(first.log) in caught.value.hint
        with connect(first.address) as client:
            assert client.info().version
    assert not psutil.pid_exists(first.pid)
    first.stop()  # twice is once
    with pytest.raises(EmbeddedServerFailed, match="cannot start"):
        EmbeddedServer(tmp_path / "layert2v.toml" / "data")
    with pytest.raises(EmbeddedServerFailed, match=r"within 0\.01 seconds"):
        EmbeddedServer(tmp_path / "data", timeout_s=0.01)
