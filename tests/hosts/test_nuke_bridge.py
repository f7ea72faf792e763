"""The plug-in on the strict fake, with the real bridge as a process and a real server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour
from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.saved import reopen, save
from fakes.live_server import LiveServer
from fakes.moving_disc import disc_clip, write_clip
from fakes.nk_render import add_renderer
from hosts.nuke_artist import Artist
from layert2v import stack as manifest

pytestmark = pytest.mark.timeout(240)

PATIENT = {"lease_s": 60.0}  # a busy machine may keep a worker waiting
HOSTILE = 'a "fox" [python {nuke.quit()}] {unbalanced $env(HOME) back\\slash\nnew line 🦊'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    live = LiveServer(tmp_path / "data", **PATIENT)
    yield live
    live.stop()


@pytest.fixture
def artist(tmp_path: Path, server: LiveServer) -> Iterator[Artist]:
    one = Artist(tmp_path, server.ready["address"])
    yield one
    one.controller.close()


def shown_stack(artist: Artist, uuid: str, frame: int = 1001) -> manifest.Stack:
    """Return the stack that the node shows, after a look for its files."""
    folder = Path(artist.host.knob_values(uuid)["folder"])
    (group,) = (one for one in artist.nuke.dump().values() if one["class"] == "Group")
    for name in ("bg", "shadow_01", "fg_01"):
        path = group["nodes"][f"Read_{name}"]["knobs"]["file"]
        assert Path(path % frame).is_file()
    return manifest.read(folder)


def test_from_prompt_to_layers_and_to_a_second_version(artist: Artist) -> None:
    uuid = artist.generate(Behaviour(), HOSTILE)
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert shown_stack(artist, uuid).prompt == HOSTILE
    assert artist.nuke.executed == []
    artist.controller.on_button(uuid, "rerender fg_01")
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert artist.host.knob_values(uuid)["fg_01_version"] == 2, artist.host.status(uuid)
    assert artist.host.knob_values(uuid)["bg_version"] == 1


def test_cancel_ends_the_job(artist: Artist) -> None:
    uuid = artist.generate(Behaviour(step_s=0.5))
    artist.wait_until(artist.has_status(uuid, "running"))
    artist.controller.on_button(uuid, "cancel")
    artist.wait_until(artist.has_status(uuid, "cancelled"))


def test_asking_again_in_the_middle_changes_nothing(artist: Artist) -> None:
    uuid = artist.generate(Behaviour(step_s=0.3))
    artist.wait_until(artist.has_status(uuid, "running"))
    job = artist.host.knob_values(uuid)["l2v_job"]
    artist.controller.refresh()
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert artist.status(uuid) == "done", artist.host.status(uuid)
    assert artist.host.knob_values(uuid)["l2v_job"] == job


def test_what_the_engine_says_is_on_the_node(artist: Artist) -> None:
    uuid = artist.generate(Behaviour(fault="engine_error"))
    artist.wait_until(artist.has_status(uuid, "failed"))
    assert "does not know this word. Use another word." in artist.host.status(uuid)


@pytest.mark.chaos
def test_a_killed_bridge_comes_back_to_its_job(artist: Artist) -> None:
    uuid = artist.generate(Behaviour(step_s=0.5))
    artist.wait_until(artist.has_status(uuid, "running"))
    first = artist.bridge_pid()
    os.kill(first, signal.SIGKILL)
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert artist.status(uuid) == "done", artist.host.status(uuid)
    assert artist.bridge_pid() != first


@pytest.mark.chaos
def test_a_restarted_server_goes_on_with_the_job(tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "data", **PATIENT)
    address = server.ready["address"]
    artist = Artist(tmp_path, address)
    uuid = artist.generate(Behaviour(step_s=0.3))
    artist.wait_until(artist.has_status(uuid, "running"))
    server.kill()
    server = LiveServer(tmp_path / "data", address=address, **PATIENT)
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert artist.status(uuid) == "done", artist.host.status(uuid)
    artist.controller.close()
    server.stop()


@pytest.mark.chaos
def test_a_server_that_does_not_answer_does_not_hold_nuke(
    artist: Artist, server: LiveServer
) -> None:
    uuid = artist.generate(Behaviour(step_s=0.2))
    artist.wait_until(artist.has_status(uuid, "running"))
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        for _ in range(100):  # each would wait for the server, if any did
            artist.controller.pump()
        artist.controller.on_button(uuid, "explode")
        assert artist.host.status(uuid).startswith("There is no stack yet.")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert artist.status(uuid) == "done", artist.host.status(uuid)


def test_a_closed_nuke_finds_its_job_again(tmp_path: Path, server: LiveServer) -> None:
    before = Artist(tmp_path, server.ready["address"])
    uuid = before.generate(Behaviour(step_s=0.2))
    before.wait_until(before.has_status(uuid, "running"))
    before.wait_until(lambda: bool(before.host.knob_values(uuid)["l2v_job"]))
    text = save(before.nuke)
    before.controller.close()
    after = Artist(tmp_path, server.ready["address"])
    after.nuke.addOnScriptLoad(after.controller.schedule_scan)
    reopen(after.nuke, text)
    after.wait_until(after.has_status(uuid, "done", "failed"))
    shown_stack(after, uuid)
    after.controller.close()


def test_two_nukes_on_one_server_get_their_own(tmp_path: Path, server: LiveServer) -> None:
    artists = [Artist(tmp_path / name, server.ready["address"]) for name in ("one", "two")]
    asked = [one.generate(Behaviour(), f"a fox {index}") for index, one in enumerate(artists)]
    for index, (one, uuid) in enumerate(zip(artists, asked, strict=True)):
        one.wait_until(one.has_status(uuid, "done", "failed"))
        assert shown_stack(one, uuid).prompt == f"a fox {index}"
        one.controller.close()


def test_a_server_that_is_not_there_is_shown_and_waited_for(tmp_path: Path) -> None:
    artist = Artist(tmp_path, "127.0.0.1:1")
    uuid = artist.generate(Behaviour())
    artist.wait_until(lambda: artist.host.status(uuid).startswith("Waiting"))
    artist.controller.on_button(uuid, "cancel")
    assert artist.status(uuid) == "cancelled"
    artist.controller.close()


@pytest.fixture
def footage_artist(tmp_path: Path, server: LiveServer) -> Iterator[Artist]:
    """Return an artist whose Nuke renders, with a node of three frames of footage."""
    one = Artist(tmp_path, server.ready["address"], add_renderer(FakeNuke(gui=False)))
    folder = write_clip(tmp_path / "footage", disc_clip(frames=3).source, first=1011)
    read_footage(one, folder)
    yield one
    one.controller.close()


def read_footage(artist: Artist, folder: Path) -> None:
    """Read footage, select it and choose Decompose in the menu."""
    read = artist.nuke.nodes.Read()
    read["file"].fromUserText(f"{folder}/shot.%04d.exr 1011-1013")
    read["colorspace"].setValue("linear")
    read.setSelected(True)
    artist.controller.create(of_selection=True)


def add_subject(artist: Artist, behaviour: Behaviour) -> str:
    """Add a subject whose words control the engine of the server; return the node's uuid."""
    (uuid,) = artist.host.node_names()
    artist.controller.on_button(uuid, "subject_add")
    artist.host.set_knobs(uuid, {"subject_1_words": behaviour.to_prompt()})
    return uuid


def press_and_wait(artist: Artist, uuid: str, press: str) -> None:
    """Press a button and wait for its result."""
    artist.controller.on_button(uuid, press)
    artist.wait_until(artist.has_status(uuid, "done", "failed"))
    assert artist.status(uuid) == "done", artist.host.status(uuid)


def test_footage_becomes_layers_with_its_numbers_and_is_refined(footage_artist: Artist) -> None:
    artist = footage_artist
    (uuid,) = artist.host.node_names()
    press_and_wait(artist, uuid, "decompose")
    folder = Path(artist.host.knob_values(uuid)["folder"])
    stack = manifest.read(folder)
    assert (stack.start_frame, stack.frames, stack.name) == (1011, 3, "shot")
    (group,) = (one for one in artist.nuke.dump().values() if one["class"] == "Group")
    assert group["nodes"]["Read_bg"]["knobs"]["first"] == 1011
    white = artist.nuke.nodes.Constant()
    white["channels"].setValue("rgba")
    white["color"].setValue((1.0, 1.0, 1.0, 1.0))
    node = artist.nuke.toNode("LayerT2V1")
    assert node is not None
    node.setInput(3, white)
    press_and_wait(artist, uuid, "refine fg_01")
    refined = manifest.read(folder).history[-1]
    assert (refined.action, refined.note) == ("refine", "3 mattes")
    assert artist.host.knob_values(uuid)["fg_01_version"] == 2
    assert not any((folder.parents[1] / "renders").iterdir())
    point = {"fg_01_point_1_is": "beside it", "fg_01_point_1": (20.0, 24.0)}
    artist.host.set_knobs(uuid, {**point, "fg_01_point_1_frame": 1012})
    press_and_wait(artist, uuid, "refine_points fg_01")
    corrected = manifest.read(folder).history[-1]
    y = stack.height - 24.0
    assert corrected.spec["points"] == [{"frame": 1012, "x": 20.0, "y": y, "is_subject": False}]
    assert (corrected.action, corrected.note) == ("refine", "0 mattes")
    shown = artist.host.knob_values(uuid)
    assert (shown["fg_01_version"], shown["fg_01_point_1_is"]) == (3, "off")


def test_cancel_ends_a_decomposition(footage_artist: Artist) -> None:
    uuid = add_subject(footage_artist, Behaviour(step_s=0.5))
    footage_artist.controller.on_button(uuid, "decompose")
    footage_artist.wait_until(footage_artist.has_status(uuid, "running"))
    footage_artist.controller.on_button(uuid, "cancel")
    footage_artist.wait_until(footage_artist.has_status(uuid, "cancelled"))


def test_a_closed_nuke_finds_its_decomposition_again(
    footage_artist: Artist, tmp_path: Path, server: LiveServer
) -> None:
    before = footage_artist
    uuid = add_subject(before, Behaviour(step_s=0.2))
    before.controller.on_button(uuid, "decompose")
    before.wait_until(lambda: bool(before.host.knob_values(uuid)["l2v_job"]))
    text = save(before.nuke)
    before.controller.close()
    after = Artist(tmp_path, server.ready["address"])
    after.nuke.addOnScriptLoad(after.controller.schedule_scan)
    reopen(after.nuke, text)
    after.wait_until(after.has_status(uuid, "done", "failed"))
    assert shown_stack(after, uuid, 1011).history[0].action == "decompose"
    after.controller.close()


def test_footage_that_is_not_there_is_one_sentence(footage_artist: Artist, tmp_path: Path) -> None:
    (tmp_path / "footage" / "shot.1012.exr").unlink()
    (uuid,) = footage_artist.host.node_names()
    footage_artist.controller.on_button(uuid, "decompose")
    footage_artist.wait_until(footage_artist.has_status(uuid, "failed"))
    assert "is not complete" in footage_artist.host.status(uuid)
