"""The command line among strange bytes: in names, from servers, in the terminal, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, environment, live_server, wait_until

PROGRAM = [sys.executable, "-c", "import sys; from layert2v_client.cli.main import main; "]
PROGRAM[-1] += "sys.exit(main())"
PROMPT = "a fox\x1b[2J\x07 \u202egnp.exe"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("text") / "data"
    with live_server(folder, expose_local_paths=False) as server:
        yield server


def run(
    *words: str | bytes, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        env=variables_of(**variables),
        cwd=folder,
        timeout=120,
    )


def variables_of(**variables: str) -> dict[str, str]:
    base = environment()
    client = Path(base["PYTHONPATH"].split(os.pathsep)[0]).parent / "client"
    return {**base, "PYTHONPATH": f"{base['PYTHONPATH']}{os.pathsep}{client}", **variables}


def test_control_characters_of_others_do_not_reach_the_terminal(
    server: LiveServer, tmp_path: Path
) -> None:
    job = server.wait_for_end(server.submit(prompt=PROMPT).name)
    for words in (
        ("jobs", "--server", server.ready["address"]),
        ("fetch", job.name, "--server", server.ready["address"], "--out", str(tmp_path / "x")),
    ):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        for char in ("\x1b", "\x07", "\u202e"):
            assert char.encode() not in done.stdout + done.stderr
    assert (
        "a fox\ufffd[2J\ufffd \ufffdgnp.exe".encode()
        in run(*("jobs", "--server"), server.ready["address"]).stdout
    )


def test_a_terminal_without_these_letters(server: LiveServer) -> None:
    server.wait_for_end(server.submit(prompt="ein Fuchs läuft 狐").name)
    done = run("jobs", "--server", server.ready["address"], PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"l\\xe4uft \\u72d0" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        (b"generate", b"a \xff fox"),
        (b"watch", b"jobs/\xff"),
        (b"delete", b"jobs/1", b"jobs/\xff"),
        (b"generate", b"a fox", b"--colorspace", b"\xff"),
    ],
)
def test_bytes_that_are_no_text(server: LiveServer, words: tuple[bytes, ...]) -> None:
    done = run(*words, b"--server", server.ready["address"].encode())
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"not text in UTF-8" in done.stderr


@pytest.mark.parametrize("address", ["host:65536", "host:99999", "host:\u0662", "host:0", "a/b:1"])
def test_addresses_that_are_none(address: str) -> None:
    done = run("jobs", "--server", address)
    assert done.returncode == 2
    assert b"is no server address" in done.stderr


def test_a_user_without_a_home_folder() -> None:
    program = "import os, pwd; from layert2v.home import data_folder; "
    program += "os.environ.pop('HOME', None); os.setuid(54321); print(data_folder())"
    if os.geteuid() != 0:
        pytest.skip("only root can become a user without a home folder")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), cwd="/"
    )
    assert Path(done.stdout.strip()).name == "layert2v", done.stderr


def test_ctrl_c_in_a_download_leaves_nothing(server: LiveServer, tmp_path: Path) -> None:
    large = Behaviour(frame_bytes=4 << 20)
    job = server.wait_for_end(server.submit(behaviour=large, frames=17).name)
    generate = ["generate", "a fox", "--frames", "17", "--negative", large.to_prompt()]
    # At several moments: between two files, while a stream starts, while a piece is handed over.
    for moment in range(7):
        out = tmp_path / f"out{moment}"
        words = generate if moment == 3 else ["fetch", job.name]
        words = [*words, "--server", server.ready["address"], "--out", str(out)]
        with subprocess.Popen([*PROGRAM, *words], stderr=subprocess.PIPE, env=variables_of()) as it:
            wait_until(lambda out=out: out.exists() and any(out.rglob("*.exr")))
            time.sleep(0.02 * moment)
            it.send_signal(signal.SIGINT)
            try:
                _, said = it.communicate(timeout=60)
            finally:
                it.kill()  # or the end of this block would wait for one that hangs
        assert it.returncode == 130, said
        assert not out.exists()
