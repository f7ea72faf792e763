"""The add-on and a real server: stacks made and changed, jobs cancelled, cut off and resumed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.live_server import LiveServer, live_server
from hosts.blenders import Blender, oldest_and_newest
from hosts.display import display
from hosts.images import Image, over, read_rgba, write_rgba, write_small_stack
from hosts.shipped_model import HEIGHT, WIDTH
from layert2v.stack import Stack, frame_path, read_state

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

EXACT = 1e-6
RED = (0.5, 0.25, 0.125, 1.0)  # exact in half floats
LONG_LEASES = {"lease_s": 60.0}  # four Blenders and a worker on a small machine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """Start a server whose engine takes as long as a test needs."""
    with live_server(tmp_path / "server" / "data", **LONG_LEASES) as one:
        yield one


def largest_difference(seen: Path, stack: Stack, folder: Path, names: list[str]) -> float:
    """Compare what Blender rendered of each name with the files; ``comp`` is numpy's over."""
    worst = 0.0
    for index in range(stack.frames):
        number = stack.start_frame + index
        layers = {
            one.name: read_rgba(folder / frame_path(one.pattern, number)) for one in stack.layers
        }
        wanted = {**layers, "comp": over(list(layers.values()))}
        for name in names:
            picture = read_rgba(seen / f"{name}.{1 + index:04d}.exr")
            worst = max(worst, float(np.abs(picture - wanted[name]).max()))
    return worst


def first_image(folder: Path, name: str) -> Image:
    return read_rgba(folder / f"{name}.0001.exr")


def test_a_layer_is_generated_again_and_a_background_swapped(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    address, plate = mini_server.ready["address"], tmp_path / "plate" / "red.exr"
    write_rgba(plate, np.broadcast_to(np.float32(RED), (HEIGHT, WIDTH, 4)).copy())
    seen = blender.run("blender_rerender.py", address, tmp_path, plate, timeout_s=500)
    folder, everything = Path(seen["folder"]), ["comp", "fg_01", "shadow_01", "bg"]
    assert seen["states"] == ["replace", "regenerate", "generate"]
    assert seen["rerendered"] == {"fg_01": "2", "shadow_01": "1", "bg": "1"}
    assert seen["swapped"] == {"fg_01": "2", "shadow_01": "1", "bg": "2"}
    assert seen["undone"] == seen["rerendered"]
    assert seen["reused"] == {
        "prompt": "a red fox running through a snowy forest at sunset", "seed": "7", "steps": 4,
        "size": [False, WIDTH, HEIGHT, 5], "layer": ["a brown bear", "11"],
    }  # fmt: skip
    assert len({tuple(link) for link in seen["grades"]}) == 1
    for number, name in enumerate(["generated", "rerendered", "swapped"], 1):
        state = read_state(folder, number)
        assert largest_difference(tmp_path / name, state, folder, everything) <= EXACT
    assert (
        largest_difference(tmp_path / "first", read_state(folder, 1), folder, everything) <= EXACT
    )
    generated, rerendered = tmp_path / "generated", tmp_path / "rerendered"
    assert np.abs(first_image(generated, "fg_01") - first_image(rerendered, "fg_01")).max() > 0.05
    assert np.abs(first_image(tmp_path / "swapped", "bg") - RED).max() <= EXACT


def run_step(blender: Blender, step: str, server: LiveServer, folder: Path) -> dict[str, Any]:
    arguments = (step, server.ready["address"], folder)
    return blender.run("blender_interrupt.py", *arguments, timeout_s=300)


@oldest_and_newest
def test_cancelling_leaves_nothing(blender: Blender, server: LiveServer, tmp_path: Path) -> None:
    seen = run_step(blender, "cancel", server, tmp_path)
    assert seen["outcome"] == "RequestCancelled"
    assert seen["text"]
    assert seen["saved"] == 0
    assert seen["left"] == []


@oldest_and_newest
def test_a_job_goes_on_in_another_blender(
    blender: Blender, server: LiveServer, tmp_path: Path
) -> None:
    left = run_step(blender, "close_blender", server, tmp_path)
    seen = run_step(blender, "reopen", server, tmp_path)
    assert seen["job"] == left["job"] != ""
    assert seen["outcome"] == "RequestSucceeded"
    assert seen["layers"] == ["fg_01", "shadow_01", "bg"]
    assert seen["saved"] == 0


@oldest_and_newest
def test_a_job_of_another_server_waits_for_it(
    blender: Blender, server: LiveServer, tmp_path: Path
) -> None:
    run_step(blender, "close_blender", server, tmp_path)
    seen = run_step(blender, "reopen_with_other_server", server, tmp_path)
    assert server.ready["address"] in seen["reason"]
    assert not seen["busy"]
    assert not seen["has_session"]  # nothing, and no token, went to a server that a file named
    assert seen["kept"] == 1
    assert seen["stacks"] == 1


@oldest_and_newest
def test_a_deleted_job_is_reported(blender: Blender, server: LiveServer, tmp_path: Path) -> None:
    run_step(blender, "close_blender", server, tmp_path)
    with live_server(tmp_path / "other" / "data", **LONG_LEASES) as other:
        server.stop()
        other.stop()
        moved = LiveServer(other.data, address=server.ready["address"], **LONG_LEASES)
        seen = run_step(blender, "reopen", moved, tmp_path)
        moved.stop()
    assert seen["outcome"] == "RequestLost"
    assert "does not know" in seen["text"]


@oldest_and_newest
def test_a_server_that_is_restarted_finishes_the_job(
    blender: Blender, server: LiveServer, tmp_path: Path
) -> None:
    address = server.ready["address"]
    process = blender.start("blender_interrupt.py", "lose_server", address, tmp_path)
    assert process.stdout is not None
    said = read_until(process, "RUNNING")
    server.kill()
    said += read_until(process, "WAITING")
    again = LiveServer(server.data, address=address, **LONG_LEASES)
    output, _ = process.communicate(timeout=200)
    again.stop()
    assert process.returncode == 0, said + output
    result = json.loads(output.rpartition("RESULT ")[2].splitlines()[0])
    assert result["outcome"] == "RequestSucceeded"
    assert result["stacks"] == 1
    assert address in result["waiting"]


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """Read what a script writes up to this word on a line of its own."""
    said = ""
    for line in process.stdout or ():
        said += line
        if line.strip() == word:
            return said
    raise AssertionError(f"the script ended without {word}:\n{said}")


@oldest_and_newest
def test_a_grey_button_has_a_reason(blender: Blender, server: LiveServer, tmp_path: Path) -> None:
    seen = run_step(blender, "check_polls", server, tmp_path)
    assert "Online Access" in seen["elsewhere"]
    assert "127.0.0.1:9" in seen["away"]
    asked = ("elsewhere_can", "away_can", "silent_can", "ready_can")
    assert [seen[name] for name in asked] == [False, False, False, True]


def test_renders_become_layers_and_every_view_follows(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    address = mini_server.ready["address"]
    seen = blender.run("blender_plates.py", address, tmp_path, timeout_s=500)
    folder = Path(seen["folder"])
    assert seen["actions"] == ["open", "remove", "reorder", "add", "replace", "generate"]
    assert seen["same"]  # the artist's render settings
    assert seen["left"] == 0
    orders = [view["list"] for view in seen["views"]]
    assert orders == [
        ["bg", "shadow_01", "fg_01"],
        ["bg", "shadow_01", "fg_01", "shadow_02", "fg_02"],
        ["bg", "shadow_02", "fg_02", "shadow_01", "fg_01"],
        ["bg", "shadow_02", "fg_02"],
        ["bg", "shadow_01", "fg_01"],
    ]
    for view in seen["views"]:
        assert view["sockets"] == [*view["list"], "comp"]
        assert view["strips"] == view["planes"] == view["list"]
    blue, green = read_state(folder, 2).layer("bg"), read_state(folder, 3).layer("fg_02")
    assert np.abs(read_rgba(folder / blue.files[0].path) - (0.125, 0.25, 0.5, 1)).max() < 1e-3
    assert np.abs(read_rgba(folder / green.files[0].path) - (0, 0.5, 0, 1)).max() < 1e-3
    state = read_state(folder)
    assert largest_difference(tmp_path, state, folder, ["comp", *orders[-1]]) <= EXACT
    for index in range(state.frames):
        comp, strips = (
            read_rgba(tmp_path / f"{n}.{1 + index:04d}.exr") for n in ("comp", "strips")
        )
        assert np.abs(comp - strips).max() <= EXACT


@pytest.mark.parametrize("bare_blender", ["4.5", "5.2"], indirect=True)
def test_a_render_as_a_layer_leaves_the_interface_free(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    address = mini_server.ready["address"]
    write_small_stack(tmp_path, colorspace="lin_rec709_scene", start_frame=1001)
    with display() as screen:
        seen = blender.run("blender_plate_window.py", address, tmp_path, timeout_s=300, **screen)
    assert seen["began"] == ["RUNNING_MODAL"]
    assert seen["changed"]
    assert seen["same"]
    assert seen["actions"][0] == "replace"


@pytest.mark.parametrize("bare_blender", ["4.5", "5.2"], indirect=True)
def test_a_local_server_is_started_with_the_installed_engine(
    blender: Blender, tmp_path: Path
) -> None:
    seen = blender.run("blender_local_server.py", sys.executable, tmp_path, timeout_s=300)
    assert "engine is not found" in seen["reason"]
    assert seen["models"] == ["mini"]
    assert seen["remembered"] == ["mini"]
    assert "(instead of 1920 x 1080" in seen["size"]
    assert seen["ended"]
