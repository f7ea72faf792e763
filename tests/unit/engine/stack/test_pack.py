from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from fakes.sample_stacks import RGBA, read_exr, read_rgba, write_stack
from layert2v_engine.errors import StackError
from layert2v_engine.image.exr_header import COMPRESSIONS, ExrOptions
from layert2v_engine.stack.inspect import inspect
from layert2v_engine.stack.pack import pack
from layert2v_engine.stack.packed_names import packed_channels


def nuke_name(channel: str) -> str:
    """Return the layer and channel that Nuke's published reader makes of a channel name."""
    pieces = [re.sub(r"[^0-9A-Za-z]", "_", re.sub(r"^\d+", "", p)) for p in channel.split(".", 2)]
    *layer, last = [piece for piece in pieces if piece]
    color = {"R": "red", "G": "green", "B": "blue", "A": "alpha"}.get(last, last)
    return f"{'_'.join(layer) or 'rgba'}.{color}"


@pytest.mark.parametrize("codec", [name for name, lossless in COMPRESSIONS.items() if lossless])
def test_packed_frames_hold_the_layers_to_the_bit(tmp_path: Path, codec: str) -> None:
    result = write_stack(tmp_path)
    paths = pack(tmp_path, result, ExrOptions(compression=codec))
    for path, frame in zip(paths, (1001, 1002), strict=True):
        _, planes = read_exr(path)
        for name, prefix in (("comp", ""), ("bg", "bg."), ("fg_01", "fg_01.")):
            expected = read_rgba(tmp_path / f"{name}/v001/{name}_v001.{frame}.exr")
            packed = np.stack([planes[prefix + channel] for channel in RGBA], axis=-1)
            assert np.array_equal(packed, expected)


def test_there_is_one_part_with_one_window_and_no_view(tmp_path: Path) -> None:
    """Nuke refuses parts whose windows differ; names must hold one dot only."""
    path = pack(tmp_path, write_stack(tmp_path))[0]
    header, planes = read_exr(path)
    assert len(OpenEXR.File(str(path)).parts) == 1
    assert header["dataWindow"][1].tolist() == header["displayWindow"][1].tolist()
    assert {"view", "multiView", "name", "chromaticities"} & set(header) == set()
    assert all(name.count(".") <= 1 for name in planes)


def test_nuke_shows_every_layer_under_its_own_name(tmp_path: Path) -> None:
    result = write_stack(tmp_path)
    seen = {nuke_name(channel) for channel in packed_channels(result)}
    layers = ("rgba", "bg", "shadow_01", "fg_01")
    assert seen == {f"{a}.{b}" for a in layers for b in ("red", "green", "blue", "alpha")}


def test_two_stacks_stay_apart_in_one_nuke_script(tmp_path: Path) -> None:
    """Nuke keeps one list of layers a script; only rgba is shared, by its meaning."""
    seen = []
    for name in ("fox_", "B2_"):
        result = write_stack(tmp_path / name)
        _, planes = read_exr(pack(tmp_path / name, result, prefix=name)[0])
        seen.append({nuke_name(channel) for channel in planes})
        assert inspect(tmp_path / name, result).problems == []
    layers = {channel.partition(".")[0] for channel in seen[0]}
    assert layers == {"rgba", "fox_bg", "fox_shadow_01", "fox_fg_01"}
    assert {channel.partition(".")[0] for channel in seen[0] & seen[1]} == {"rgba"}
    assert all(len(channels) == 16 for channels in seen)


@pytest.mark.parametrize("prefix", ["1_", "fox.", "fuchs-", "_a", "ä"])
def test_a_prefix_that_nuke_would_change_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(StackError, match="cannot begin the names of layers"):
        pack(tmp_path, write_stack(tmp_path), prefix=prefix)


def test_the_header_carries_order_and_provenance(tmp_path: Path) -> None:
    header, _ = read_exr(pack(tmp_path, write_stack(tmp_path, colorspace="ACEScg"))[1])
    order = json.loads(header["layert2v/layers"])
    assert [layer["name"] for layer in order] == ["bg", "shadow_01", "fg_01"]
    assert order[1] == {"name": "shadow_01", "role": "shadow", "caster": "fg_01"}
    assert (header["colorInteropID"], header["imageCounter"]) == ("lin_ap1_scene", 1002)
    assert header["comments"] == "a fox in a forest"


@pytest.mark.parametrize(
    ("name", "file"), [("fox 1", "fox_1_v001.1001.exr"), ("狐", "stack_v001.1001.exr")]
)
def test_the_file_is_named_after_the_stack(tmp_path: Path, name: str, file: str) -> None:
    assert pack(tmp_path, write_stack(tmp_path, name=name))[0].name == file


def test_a_damaged_layer_takes_the_packed_frames_back(tmp_path: Path) -> None:
    result = write_stack(tmp_path)
    (tmp_path / result.layer("bg").files[1].path).write_bytes(b"")
    with pytest.raises(StackError):
        pack(tmp_path, result)
    assert not list(tmp_path.glob("packed/**/*.exr"))
