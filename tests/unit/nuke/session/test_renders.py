"""Upstream nodes rendered in the place of a layer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fakes.fake_nuke import FakeNuke
from fakes.nk_evaluate import read_exr
from fakes.nk_render import add_renderer
from fakes.nk_session import PluginSession


@pytest.fixture
def session(foxes: Path, tmp_path: Path) -> PluginSession:
    created = PluginSession(tmp_path, add_renderer(FakeNuke()))
    created.nuke.set_project(format=(28, 18, 1.0))
    created.generate_stack(Path(shutil.copytree(foxes, tmp_path / "stack")))
    return created


def connect_plate(session: PluginSession) -> str:
    plate = session.nuke.nodes.Constant()
    plate["channels"].setValue("rgba")
    plate["color"].setValue((0.5, 0.25, 4.0, 1.0))
    session.node().setInput(0, plate)
    return str(session.value("l2v_uuid"))


def use_ocio(session: PluginSession, config: str) -> None:
    values = {"colorManagement": "OCIO", "OCIO_config": config, "workingSpaceLUT": "scene_linear"}
    session.nuke.set_project(**values)


def test_an_input_is_rendered_frame_by_frame_and_sent(session: PluginSession) -> None:
    uuid = connect_plate(session)
    session.controller.on_button(uuid, "plate bg")
    before = session.nuke.dump()["LayerT2V1"]["nodes"]
    for done in (1, 2, 3):
        session.controller.pump()
        assert session.value("progress") == f"{done} of 3"
    session.controller.pump()
    sent = session.bridge.last("rerender")
    assert (sent["spec"]["action"], sent["spec"]["layers"]) == ("replace", ["bg"])
    assert sent["spec"]["plate"]["colorspace"] == "lin_rec709_scene"
    assert sent["spec"]["plate"]["alpha"] == "opaque"
    (folder,) = sent["inputs"][sent["spec"]["plate"]["input"]]
    files = sorted(Path(folder).iterdir())
    assert [one.name for one in files] == [f"bg.{n}.exr" for n in (1001, 1002, 1003)]
    pixels = read_exr(files[0]).rgba()
    assert np.array_equal(pixels[0, 0], np.float32([0.5, 0.25, 4.0, 1.0]))
    assert session.nuke.dump()["LayerT2V1"]["nodes"] == before
    assert not any(one["class"] == "Write" for one in session.nuke.dump().values())


def test_rendering_leaves_no_undo_step(session: PluginSession) -> None:
    uuid = connect_plate(session)
    steps = len(session.nuke.history.undo_steps)
    session.controller.on_button(uuid, "plate bg")
    for _ in range(4):
        session.controller.pump()
    assert len(session.nuke.history.undo_steps) == steps


def test_an_open_input_is_shown(session: PluginSession) -> None:
    session.controller.on_button(str(session.value("l2v_uuid")), "plate fg_01")
    assert session.value("status").startswith("Nothing is connected to the input fg.")


def test_cancel_stops_the_rendering(session: PluginSession) -> None:
    uuid = connect_plate(session)
    session.controller.on_button(uuid, "plate bg")
    session.controller.pump()
    session.controller.on_button(uuid, "cancel")
    session.controller.pump()
    assert session.value("l2v_life") == "cancelled"
    assert [one["method"] for one in session.bridge.sent] == ["connect", "generate"]


def test_a_frame_that_cannot_be_rendered_is_shown(session: PluginSession) -> None:
    uuid = connect_plate(session)
    session.nuke.renderer = None
    session.controller.on_button(uuid, "plate bg")
    session.controller.pump()
    assert "cannot be rendered at frame 1001" in session.value("status")
    assert session.value("l2v_life") == "failed"


def test_a_working_space_without_a_name_is_shown(session: PluginSession) -> None:
    uuid = connect_plate(session)
    session.nuke.set_project(
        colorManagement="OCIO", OCIO_config="custom", workingSpaceLUT="scene_linear"
    )
    session.controller.on_button(uuid, "plate bg")
    assert "does not say which space" in session.value("status")
