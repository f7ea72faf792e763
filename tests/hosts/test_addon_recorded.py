"""Files that v0.1 of the add-on saved (tests/compatibility) open in every Blender and go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.recorded import RECORDED, check_states, copy_of
from hosts.blenders import Blender
from hosts.images import over, read_rgba
from layert2v import stack as manifest

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

EXACT = 1e-6
PANEL = {
    "prompt": "a white rabbit hopping on a beach", "background": "a beach at night",
    "foregrounds": ["a white rabbit hopping"], "negative": "text", "size_from_scene": False,
    "width": 224, "height": 160, "frames": 1, "seed": "3", "own_sampling": True, "steps": 12,
    "guidance": 2.5, "folder": "//layert2v/", "target": "STRIPS",
}  # fmt: skip
# Shown, visible, frozen, prompt, seed and strength of each layer.
SAVED = {
    "fg_01": ["1", True, False, "a lion walking", "21", 0.5],
    "shadow_01": ["2", True, True, "a bear walking", "", 1.0],
    "bg": ["2", False, False, "", "", 1.0],
}
HISTORY = [[3, "replace"], [2, "regenerate"], [1, "generate"]]
LAYERS = ["bg", "shadow_01", "fg_01"]


def files_for(blender: Blender) -> list[str]:
    """Return the files of this version and older ones, which a Blender opens."""
    saved_by = [path.stem.partition("_")[2] for path in sorted(RECORDED.glob("blender_*.blend"))]
    return [f"blender_{version}.blend" for version in saved_by if version <= blender.version]


def open_copy(blender: Blender, folder: Path, name: str) -> dict[str, Any]:
    """Open a copy beside a copy of its stack; return what the script saw."""
    copy_of("stack", folder)
    file = copy_of(name, folder)
    return blender.run("blender_recorded.py", file, folder / "seen", timeout_s=300)


def check_pixels(folder: Path, seen: str, over_of: list[str], versions: dict[str, int]) -> None:
    """Every socket is the layer's file in that version, and comp the over of these layers."""
    pictures = {}
    for name in LAYERS:
        path = manifest.frame_path(manifest.layer_pattern(name, versions[name]), 1001)
        pictures[name] = read_rgba(folder / "stack" / path)
    pictures["comp"] = over([pictures[name] for name in over_of])
    for name, wanted in pictures.items():
        picture = read_rgba(folder / "seen" / seen / f"{name}.1001.exr")
        assert np.abs(picture - wanted).max() <= EXACT, (seen, name)


def test_a_saved_file_is_as_it_was_left(blender: Blender, tmp_path: Path) -> None:
    for name in files_for(blender):
        folder = tmp_path / name
        folder.mkdir()
        seen = open_copy(blender, folder, name)
        assert seen["panel"] == PANEL
        assert seen["folder"] == str((folder / "stack").resolve())
        assert seen["job"].startswith("jobs/")  # it is still waited for, on its own server
        assert seen["reason"] == "It belongs to 127.0.0.1:7433."
        check_saved(seen["saved"])
        check_pixels(folder, "saved", LAYERS[1:], {"bg": 2, "shadow_01": 2, "fg_01": 1})
        check_changes(folder, seen)
        shutil.rmtree(folder)


def check_saved(seen: dict[str, Any]) -> None:
    assert (seen["problem"], seen["layers"], seen["history"]) == ("", SAVED, HISTORY)
    assert seen["versions"] == {name: [2, 1] for name in SAVED}
    assert seen["grade"] == ["GROUP", "fg_01"]
    wanted = ["bg_v002.1001.exr", "fg_01_v001.1001.exr", "shadow_01_v002.1001.exr"]
    assert seen["images"] == seen["strips"] == wanted
    assert seen["planes"] == sorted(LAYERS)


def check_changes(folder: Path, seen: dict[str, Any]) -> None:
    """Another version, then the first state again: nodes and strips follow, links stay."""
    wanted = ["bg_v002.1001.exr", "fg_01_v002.1001.exr", "shadow_01_v002.1001.exr"]
    assert seen["switched"]["images"] == seen["switched"]["strips"] == wanted
    check_pixels(folder, "switched", LAYERS, {"bg": 2, "shadow_01": 2, "fg_01": 2})
    first = ["bg_v001.1001.exr", "fg_01_v001.1001.exr", "shadow_01_v001.1001.exr"]
    assert seen["back"]["images"] == seen["back"]["strips"] == first
    assert seen["back"]["history"] == [[4, "open"], *HISTORY]
    check_pixels(folder, "back", LAYERS, {"bg": 1, "shadow_01": 1, "fg_01": 1})
    for step in ("switched", "back"):
        assert (seen[step]["problem"], seen[step]["grade"]) == ("", ["GROUP", "fg_01"])
    check_states(folder / "stack", 4)
