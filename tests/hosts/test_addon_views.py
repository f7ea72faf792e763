"""A stack in the compositor, as planes and as strips is the stack that numpy sees."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import pytest

from hosts.blenders import Blender
from hosts.images import Image, over, read_rgba, write_small_stack
from layert2v.stack import Stack, frame_path

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

EXACT = 1e-6
# Linear filtering and a sample that is not quite in the middle of its pixel, on a ramp to 6.
FILTERED = 0.02


def expected_images(stack: Stack, folder: Path, index: int) -> dict[str, Image]:
    """Return what each name shows at the stack's frame ``index``; ``comp`` is made here."""
    number = stack.start_frame + index
    layers = {one.name: read_rgba(folder / frame_path(one.pattern, number)) for one in stack.layers}
    return {**layers, "comp": over(list(layers.values()))}


def largest_difference(
    stack: Stack, folder: Path, out: Path, first: int, name: str, like: str
) -> float:
    """Compare all frames, the scene's frame ``first`` being the stack's first."""
    seen = (read_rgba(out / f"{name}.{first + index:04d}.exr") for index in range(stack.frames))
    wanted = (expected_images(stack, folder, index)[like] for index in range(stack.frames))
    return max(float(np.abs(a - b).max()) for a, b in zip(seen, wanted, strict=True))


@pytest.mark.parametrize(
    ("numbered", "scene", "put"), [(1001, 1, 1), (1001, 1001, 1001), (1, 1, 1)]
)
def test_every_view_shows_the_stack(
    blender: Blender, tmp_path: Path, numbered: int, scene: int, put: int
) -> None:
    folder, out = tmp_path / "stack", tmp_path / "out"
    stack = write_small_stack(folder, colorspace="lin_rec709_scene", start_frame=numbered)
    seen = blender.run("blender_import.py", folder, out, str(scene))
    assert seen["first_frame"] == put
    assert seen["sockets"] == ["comp", "fg_01", "shadow_01", "bg"]
    assert seen["rendered"] == ["mine", "small"]  # the artist's own, until the comp is asked for
    assert seen["linear"] == [False, True]

    def worst(name: str, like: str = "comp") -> float:
        return largest_difference(stack, folder, out, put, name, like)

    assert max(worst(name, name) for name in seen["sockets"]) <= EXACT
    assert worst("strips") <= EXACT < 0.1 < worst("unasked")
    assert worst("planes") <= FILTERED
    first, second = (expected_images(stack, folder, index)["comp"] for index in (0, 1))
    assert np.abs(first - second).max() > 0.1  # so a wrong frame would have been seen


@pytest.mark.parametrize("studio", ["", "cg-config-v2.1.0_aces-v1.3_ocio-v2.3"])
def test_an_import_leaves_how_the_scene_is_viewed_alone(
    blender: Blender, tmp_path: Path, studio: str
) -> None:
    """Also where the configuration has no view that is called Standard."""
    write_small_stack(tmp_path / "stack", colorspace="lin_rec709_scene", start_frame=1)
    extra = {}
    if studio:
        text = ocio.Config.CreateFromBuiltinConfig(studio).serialize()
        (tmp_path / "studio.ocio").write_text(text, encoding="utf-8")
        extra["OCIO"] = str(tmp_path / "studio.ocio")
    seen = blender.run("blender_view_settings.py", tmp_path / "stack", **extra)
    assert seen["has_standard"] == (studio == "")
    assert seen["after"] == seen["before"]


def test_an_import_is_one_step_and_outlives_the_session(blender: Blender, tmp_path: Path) -> None:
    folder, place = tmp_path / "stack", tmp_path / "files"
    place.mkdir()
    write_small_stack(folder, colorspace="lin_rec709_scene", start_frame=1001)
    seen = blender.run("blender_undo.py", folder, place)
    assert seen["imported"]["added"] == ["images", "node_groups", "nodes", "stacks"]
    assert seen["planes"]["added"] == ["collections", "materials", "meshes", "objects"]
    assert seen["strips"]["added"] == ["strips"]
    for step in (seen["imported"], seen["planes"], seen["strips"]):
        assert [step["undone"], step["redone"]] == [True, True]
    assert seen["again"] == {"problem": "", "overs": 1, "plane": True, "muted": ["fg_01"]}
    assert "There is no stack.json" in seen["complaint"]


def studio_config() -> str:
    """Return a studio's configuration without P3, whose working space has a name of its own."""
    config = ocio.Config.CreateFromBuiltinConfig("studio-config-v2.1.0_aces-v1.3_ocio-v2.3")
    config.removeColorSpace("Linear P3-D65")
    text = re.sub(r"name: ACEScg\n +aliases: .*\n", "name: Studio Linear\n", config.serialize())
    return text.replace(": ACEScg\n", ": Studio Linear\n")


def test_a_space_that_is_not_offered_is_converted_by_nodes_and_never_shown_as_another(
    blender: Blender, tmp_path: Path
) -> None:
    """Strips have no nodes: they are refused until the nearest space is chosen."""
    (tmp_path / "studio.ocio").write_text(studio_config(), encoding="utf-8")
    out = tmp_path / "out"
    folders = [tmp_path / space for space in ("lin_p3d65_scene", "lin_ap1_scene")]
    stacks = [write_small_stack(each, colorspace=each.name, start_frame=1) for each in folders]
    extra = {"OCIO": str(tmp_path / "studio.ocio")}
    lacking, working = blender.run("blender_nearest.py", out, *folders, **extra)["stacks"]
    pinned = ocio.Config.CreateFromBuiltinConfig("studio-config-v4.0.0_aces-v2.0_ocio-v2.5")
    for stack, folder in zip(stacks, folders, strict=True):
        expected = expected_images(stack, folder, 1)
        convert = pinned.getProcessor(folder.name, "lin_ap1_scene").getDefaultCPUProcessor()
        for pixels in expected.values():
            convert.apply(ocio.PackedImageDesc(pixels, stack.width, stack.height, 4))
        for name in ("comp", "fg_01"):
            seen = read_rgba(out / folder.name / f"{name}.0002.exr")
            assert np.abs(seen - expected[name]).max() < 1e-4
        planes = read_rgba(out / folder.name / "planes.0002.exr")
        assert np.abs(planes - expected["comp"]).max() < 2 * FILTERED
    assert [lacking["names"], working["names"]] == [["Studio Linear"], ["Studio Linear"]]
    assert "convert it to Studio Linear by a matrix" in lacking["converted"]
    assert "Linear DCI-P3 D65, which Blender's color configuration does not" in lacking["refused"]
    assert lacking["strips"] == [lacking["nearest"].partition(",")[0]] == ["Linear Rec.709 (sRGB)"]
    assert "off by up to 33" in lacking["nearest"]
    assert [lacking["problem"], working["problem"]] == ["", ""]
    assert [working[name] for name in ("refused", "converted", "nearest")] == ["", "", ""]
    assert working["strips"] == ["Studio Linear"]
