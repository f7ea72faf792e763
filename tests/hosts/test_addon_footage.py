"""The add-on takes footage apart on a real server with the real engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.live_server import LiveServer, live_server
from fakes.moving_disc import HEIGHT, RADIUS, WIDTH, disc_clip, write_clip
from hosts.blenders import REPOSITORY, Blender, oldest_and_newest
from hosts.display import display
from hosts.images import Image, over, read_rgba
from layert2v.placement import parse_placement
from layert2v.stack import frame_path, read, read_start

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]


@pytest.mark.parametrize("bare_blender", ["4.5", "5.2"], indirect=True)
def test_a_box_is_drawn_in_the_image_editor(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    footage = write_clip(tmp_path / "footage", disc_clip(frames=6).source)
    pictures = REPOSITORY / "build" / "blender" / "pictures" / blender.version
    pictures.mkdir(parents=True, exist_ok=True)
    arguments = (mini_server.ready["address"], tmp_path, footage, pictures)
    with display() as screen:
        seen = blender.run("blender_footage_panel.py", *arguments, timeout_s=400, **screen)
    assert seen["frame"] == 1001
    np.testing.assert_allclose(seen["box"], (4, 18, 24, 24), atol=0.5)
    place, (width, height) = parse_placement(seen["place"]), seen["size"]
    np.testing.assert_allclose((place.x * width, place.width * width), (4, 24), atol=0.5)
    np.testing.assert_allclose((place.y * height, place.height * height), (18, 24), atol=0.5)
    assert seen["layers"] == ["fg_01", "shadow_01", "bg"]
    assert seen["shown"] == "shot fg_01"
    frame, *place, outside = seen["correction"]
    assert (frame, outside) == (1001, False)
    np.testing.assert_allclose(place, (16, 30), atol=0.5)


def test_an_image_sequence_becomes_layers(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    footage = write_clip(tmp_path / "footage", disc_clip(frames=6).source)
    address = mini_server.ready["address"]
    seen = blender.run("blender_decompose.py", address, tmp_path, footage, timeout_s=400)
    assert seen["empty"]  # without footage the button is grey
    assert seen["order"] == ["the disc", "the wall"]
    assert seen["layers"] == ["fg_01", "shadow_01", "bg"]
    assert (seen["first_file"], seen["actions"]) == (1001, ["decompose"])
    stack = read(Path(seen["folder"]))
    assert (stack.start_frame, stack.frames) == (1001, 5)
    assert (stack.name, Path(seen["folder"]).name) == ("shot", "shot_001")
    (subject,) = stack.history[0].spec["subjects"]
    box = {"frame": 1001, "x": 4.0, "y": 18.0, "width": 24.0, "height": 24.0}
    assert subject["boxes"] == [box]
    source = disc_clip(frames=6).source
    for frame in range(5):
        comp = read_rgba(tmp_path / "decomposed" / f"comp.{1 + frame:04d}.exr")
        np.testing.assert_allclose(comp[..., :3], source[frame], rtol=2e-3)
    assert seen["clip"] == ["shot.####.exr", 96, 64]
    assert seen["strip"] == [f"shot.{number}.exr" for number in range(1002, 1006)]
    assert seen["mask"] == [32 * 32, 255, 0]  # half of the longer side, all of the shorter
    assert seen["mask_file"] == ["matte.000007.png", 64, 32, 1.0]
    assert not seen["refine_bg"]
    assert not seen["no_points"]
    assert (seen["refined"], seen["left"]) == (["refine", "refine", "decompose"], 0)
    corrected = read_start(Path(seen["folder"]), 2).history[1].spec
    assert (corrected["layer"], corrected["matte"]) == ("fg_01", "")
    assert corrected["points"] == [{"frame": 1001, "x": 60.0, "y": 30.0, "is_subject": True}]
    assert seen["points_left"] == 0  # they are in the new version
    assert (seen["undone"], seen["stacks"]) == (["decompose"], 0)


@oldest_and_newest
def test_each_shot_of_an_edit_becomes_a_stack(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    shot = disc_clip(frames=3).source
    edit = write_clip(tmp_path / "edit", np.concatenate((shot, 0.15 * shot)))
    address = mini_server.ready["address"]
    seen = blender.run("blender_decompose_edit.py", address, tmp_path, edit, timeout_s=400)
    assert (seen["refused"], seen["left"], seen["saved"]) == (["CUT_INSIDE"], ["CUT_INSIDE"], 0)
    assert sorted(seen["stacks"]) == [["shot_shot_01", 1001, 1], ["shot_shot_02", 1004, 4]]
    folders = sorted(Path(folder) for folder in seen["folders"])
    assert [folder.name for folder in folders] == ["shot_01", "shot_02"]
    assert seen["strips"] == [1, 4]
    said = [read(folder).history[0].spec["subjects"][0] for folder in folders]
    assert [[box["frame"] for box in subject["boxes"]] for subject in said] == [[], [1004]]


@oldest_and_newest
def test_a_decomposition_goes_on_in_another_blender(blender: Blender, tmp_path: Path) -> None:
    write_clip(tmp_path / "footage", disc_clip(frames=3).source, first=1011)
    with live_server(tmp_path / "server" / "data", lease_s=60.0) as server:
        address = server.ready["address"]
        left, seen = (
            blender.run("blender_interrupt.py", step, address, tmp_path, timeout_s=300)
            for step in ("close_while_decomposing", "reopen")
        )
    assert seen["job"] == left["job"] != ""
    assert (seen["outcome"], seen["saved"]) == ("RequestSucceeded", 0)
    assert seen["layers"] == ["fg_01", "shadow_01", "bg"]


def comp(folder: Path, frame: int) -> Image:
    stack = read(folder)
    layers = (read_rgba(folder / frame_path(one.pattern, frame)) for one in stack.layers)
    return over(list(layers))


@oldest_and_newest
def test_renders_become_layers_in_strips_and_planes_that_outlive_the_file(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    address = mini_server.ready["address"]
    seen = blender.run("blender_decompose_render.py", address, tmp_path, timeout_s=500)
    assert seen["same"]  # the artist's render settings
    assert seen["left"] == 0
    assert seen["shown"] == seen["reopened"]
    assert seen["shown"]["first_files"] == seen["shown"]["first_frames"] == [1011, 1011]
    folder = Path(seen["folder"])
    stack = read(folder)
    (entry,) = stack.history
    assert (entry.action, stack.frames) == ("decompose", 4)
    assert entry.spec["footage"]["colorspace"] == "lin_rec709_scene"
    for frame in range(1011, 1015):
        render, composited = (
            read_rgba(tmp_path / f"{name}.{frame}.exr") for name in ("render", "composited")
        )
        np.testing.assert_allclose(composited[..., :3], 0.5 * render[..., :3], rtol=2e-3)
        for shown in (tmp_path, tmp_path / "reopened"):
            pictures = {
                name: read_rgba(shown / f"{name}.{frame}.exr")
                for name in ("first", "second", "strips", "planes")
            }
            np.testing.assert_allclose(pictures["first"][..., :3], render[..., :3], rtol=2e-3)
            np.testing.assert_allclose(pictures["second"], comp(folder, frame), atol=1e-6)
            np.testing.assert_allclose(
                pictures["second"][..., :3], composited[..., :3], rtol=2e-3, atol=1e-4
            )
            np.testing.assert_allclose(pictures["strips"], pictures["first"], atol=1e-5)
            np.testing.assert_allclose(pictures["planes"], pictures["second"], atol=0.02)


@oldest_and_newest
def test_a_mask_is_a_hint_on_its_frame_and_a_matte_on_all(
    blender: Blender, mini_server: LiveServer, tmp_path: Path
) -> None:
    clip = disc_clip(frames=5)
    footage = write_clip(tmp_path / "footage", clip.source)
    circle = ("16", "30", str(RADIUS), str(WIDTH), str(HEIGHT))  # the disc on its first frame
    seen = blender.run(
        "blender_decompose_mask.py",
        mini_server.ready["address"],
        tmp_path,
        footage,
        *circle,
        timeout_s=400,
    )
    hinted, matted = read(Path(seen["hinted"])), read(Path(seen["matted"]))
    assert [stack.frames for stack in (hinted, matted)] == [5, 2]
    (said,) = hinted.history[0].spec["subjects"]
    assert said["matte"] == "matte_1"
    for index in range(5):  # followed to where the mask never was
        path = Path(seen["hinted"]) / hinted.layer("fg_01").files[index].path
        assert np.abs(read_rgba(path)[..., 3] - clip.alpha[index]).mean() < 0.02
    beside = clip.alpha[0] == 0
    for index in range(2):  # the mask stands still: where the disc has gone there is no matte
        path = Path(seen["matted"]) / matted.layer("fg_01").files[index].path
        alpha = read_rgba(path)[..., 3]
        assert alpha[beside].mean() < 0.01 < 0.03 < clip.alpha[1][beside].mean()
        assert index or np.abs(alpha - clip.alpha[0]).mean() < 0.02
    assert (len(seen["after_undo"]), seen["left"]) == (1, 0)
