"""From a prompt over the real engine to the image that the graph in Nuke renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.fake_nuke.app import FakeNuke
from fakes.fake_nuke.saved import save
from fakes.live_server import live_server
from fakes.moving_disc import disc_clip, write_clip
from fakes.nk_evaluate import Evaluator
from fakes.nk_reader import read
from fakes.nk_render import add_renderer
from fakes.nk_stacks import frame_numbers, numpy_over, oiio_over, read_frame
from fakes.tiny_model import write_tiny_model
from hosts.nuke_artist import Artist
from layert2v import stack as manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def artist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artist]:
    """Return an artist whose server has a small checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("nuke")
    models = write_tiny_model(folder / "models")
    settings = {"engine": "", "models": str(models), "lease_s": 120.0, "cancel_grace_s": 30.0}
    with live_server(folder / "data", **settings) as server:
        one = Artist(folder, server.ready["address"], add_renderer(FakeNuke(gui=False)))
        one.nuke.set_project(format=(48, 32, 1.0))
        yield one
        one.controller.close()


def press_and_wait(artist: Artist, press: str) -> manifest.Stack:
    """Press a button of the one node and return its new stack."""
    (uuid,) = artist.host.node_names()
    artist.controller.on_button(uuid, press)
    artist.wait_until(artist.has_status(uuid, "done", "failed"), timeout_s=400)
    assert artist.status(uuid) == "done", artist.host.status(uuid)
    return manifest.read(Path(artist.host.knob_values(uuid)["folder"]))


def largest_difference(artist: Artist, stack: manifest.Stack) -> float:
    """Compare the node with numpy's and OIIO's over of its files, in all frames, rgb and alpha."""
    (uuid,) = artist.host.node_names()
    folder = Path(artist.host.knob_values(uuid)["folder"])
    node = read(save(artist.nuke)).find("LayerT2V1")
    worst = 0.0
    for frame in frame_numbers(stack):
        image = Evaluator(frame).render(node)
        assert image is not None
        rendered = image.rgba()
        for wanted in (numpy_over(stack, folder, frame), oiio_over(stack, folder, frame)):
            worst = max(worst, float(np.abs(rendered - wanted).max()))
        assert np.array_equal(rendered.astype(np.float16), read_frame(stack, folder, "comp", frame))
    return worst


def test_a_prompt_a_new_foreground_and_a_plate(artist: Artist) -> None:
    uuid = artist.controller.create()
    artist.host.set_knobs(uuid, {"prompt": "a red fox in a forest at night", "seed": "3"})
    first = press_and_wait(artist, "generate")
    assert largest_difference(artist, first) <= 1e-6
    artist.host.set_knobs(uuid, {"fg_01_prompt": "a blue car"})
    second = press_and_wait(artist, "rerender fg_01")
    assert (second.layer("fg_01").version, second.layer("bg").version) == (2, 1)
    assert largest_difference(artist, second) <= 1e-6
    connect_plate(artist, uuid)
    third = press_and_wait(artist, "plate bg")
    assert (third.layer("bg").source, third.layer("bg").version) == ("plate", 2)
    assert largest_difference(artist, third) <= 1e-6
    pixels = read_frame(
        third, Path(artist.host.knob_values(uuid)["folder"]), "bg", first.start_frame
    )
    assert np.allclose(pixels[0, 0], (0.5, 0.25, 2.0, 1.0), atol=2e-3)


def connect_plate(artist: Artist, uuid: str) -> None:
    plate = artist.nuke.nodes.Constant()
    plate["channels"].setValue("rgba")
    plate["color"].setValue((0.5, 0.25, 2.0, 1.0))
    assert artist.host.exists(uuid)
    node = artist.nuke.toNode(artist.host.last_known_name(uuid))
    assert node is not None
    node.setInput(0, plate)


def correct_by_a_point(artist: Artist, uuid: str) -> manifest.Stack:
    """Say that a place of the wall belongs to the disc, and return the stack where it does."""
    folder = Path(artist.host.knob_values(uuid)["folder"])
    before = read_frame(manifest.read(folder), folder, "fg_01", 1012)[..., 3]
    point = {"fg_01_point_1_is": "on the subject", "fg_01_point_1": (40.5, 55.5)}
    artist.host.set_knobs(uuid, {**point, "fg_01_point_1_frame": 1012})
    stack = press_and_wait(artist, "refine_points fg_01")
    alpha = read_frame(stack, folder, "fg_01", 1012)[..., 3]
    assert alpha[8, 40] > 0.5 > max(before[8, 40], alpha[55, 40])  # there, and not its mirror image
    assert largest_difference(artist, stack) <= 1e-6
    return stack


def test_footage_becomes_layers_that_render_the_footage(artist: Artist, tmp_path: Path) -> None:
    clip = disc_clip(frames=3)
    folder = write_clip(tmp_path / "footage", clip.source, first=1011)
    for uuid in artist.host.node_names():
        artist.nuke.delete(artist.nuke.toNode(artist.host.last_known_name(uuid)))
    read_node = artist.nuke.nodes.Read()
    read_node["file"].fromUserText(f"{folder}/shot.%04d.exr 1011-1013")
    dimmed = artist.nuke.nodes.Multiply()  # so that it is rendered, and not sent as it is
    dimmed["channels"].setValue("rgba")
    dimmed["value"].setValue(0.5)
    dimmed.setInput(0, read_node)
    dimmed.setSelected(True)
    uuid = artist.controller.create(of_selection=True)
    artist.controller.on_button(uuid, "subject_add")
    box = {"subject_1_has_box": True, "subject_1_box": (4.0, 22.0, 28.0, 46.0),
           "subject_1_box_frame": 1011}  # fmt: skip
    artist.host.set_knobs(uuid, box)
    stack = press_and_wait(artist, "decompose")
    assert (stack.start_frame, stack.frames) == (1011, 3)
    (subject,) = stack.history[0].spec["subjects"]
    assert subject["boxes"] == [{"frame": 1011, "x": 4.0, "y": 18.0, "width": 24.0, "height": 24.0}]
    assert largest_difference(artist, stack) <= 1e-6
    frame = read_frame(stack, Path(artist.host.knob_values(uuid)["folder"]), "comp", 1012)
    np.testing.assert_allclose(frame[..., :3], 0.5 * clip.source[1], rtol=2e-3)
    alpha = read_frame(stack, Path(artist.host.knob_values(uuid)["folder"]), "fg_01", 1012)[..., 3]
    assert np.abs(alpha - clip.alpha[1]).mean() < 0.05  # the disc, and not its mirror image
    stack = correct_by_a_point(artist, uuid)
    connect_plate(artist, uuid)
    swapped = press_and_wait(artist, "plate bg")
    for name in ("fg_01", "shadow_01"):
        assert swapped.layer(name) == stack.layer(name)  # the subject and its shadow stay
    assert largest_difference(artist, swapped) <= 1e-6
