"""The add-on when its server is absent, dies or restarts, and when Blender itself is closed."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from fakes.live_server import LiveServer, wait_until
from hosts.blenders import Blender, oldest_and_newest
from hosts.images import read_rgba
from layert2v.stack import frame_path, read

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

JOB_TIMEOUT_S = 240.0  # a job of the Mini on a busy machine
REAL = {"engine": "", "heartbeat_s": 1.0, "lease_s": 20.0}


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def largest_difference(folder: Path, seen: Path) -> float:
    """Compare every layer's frames as Blender rendered them with its files."""
    stack = read(folder)
    pairs = (
        (seen / f"{layer.name}.{number:04d}.exr", folder / frame_path(layer.pattern, number))
        for layer in stack.layers
        for number in range(stack.start_frame, stack.start_frame + stack.frames)
    )
    return max(float(np.abs(read_rgba(a) - read_rgba(b)).max()) for a, b in pairs)


def test_a_job_outlives_the_blender_that_started_it(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    address = mini_server.ready["address"]
    started = blender.run("blender_reopen.py", "start", address, tmp_path, timeout_s=JOB_TIMEOUT_S)
    assert started["open"]
    reopened = blender.run(
        "blender_reopen.py", "reopen", address, tmp_path, timeout_s=JOB_TIMEOUT_S
    )
    assert reopened["waited_for"] == [started["job"]]
    assert Path(reopened["folder"]) == Path(started["folder"])
    assert (reopened["stacks"], reopened["open"]) == (1, 0)
    for seen in ("seen", "once_more"):
        assert largest_difference(Path(reopened["folder"]), tmp_path / seen) <= 1e-6


@oldest_and_newest
def test_a_server_may_start_late_and_die_in_mid_job(blender: Blender, tmp_path: Path) -> None:
    address, data = free_address(), tmp_path / "data"
    process = blender.start("blender_server_restart.py", address, tmp_path)

    def wait_for_moment(moment: str) -> None:
        there = tmp_path / moment
        wait_until(lambda: there.exists() or process.poll() is not None, JOB_TIMEOUT_S)

    wait_for_moment("reported")
    server = LiveServer(data, address=address, **REAL)
    try:
        wait_for_moment("generating")
        server.kill()
        server = LiveServer(data, address=address, **REAL)
        seen = blender.finish(process, timeout_s=2 * JOB_TIMEOUT_S)
    finally:
        server.stop()
    assert address in seen.pop("away")
    assert seen == {
        "could_generate": False,
        "survivor": "RequestSucceeded", "after_restart": 1,
        "cancelled": "RequestCancelled", "left": [], "stacks": 1, "open": 0,
    }  # fmt: skip
