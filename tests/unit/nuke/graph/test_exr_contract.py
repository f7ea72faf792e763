"""The delivered files under the rules by which Nuke's EXR reader makes layers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from fakes.nk_evaluate import nuke_channel, read_exr
from fakes.nk_stacks import read_frame
from layert2v import stack as manifest
from layert2v.stack import FileRecord
from layert2v_engine.stack.pack import pack
from layert2v_nuke.graph.model import CHANNELS, RESERVED, nuke_layer, nuke_layers


def headers(folder: Path, file: FileRecord) -> list[dict[str, object]]:
    with OpenEXR.File(str(folder / file.path), separate_channels=True) as opened:
        return [dict(part.header) for part in opened.parts]


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("R", "rgba.red"), ("A", "rgba.alpha"), ("fg_01.R", "fg_01.red"),
        ("shadow_01.A", "shadow_01.alpha"), ("01_fg.R", "_fg.red"), ("a.b.c.R", "a_b.c_R"),
        ("fg-01.G", "fg_01.green"), ("0.R", "rgba.red"),
    ],
)  # fmt: skip
def test_the_rules_of_nuke_s_reader(name: str, channel: str) -> None:
    assert nuke_channel(name) == channel


def test_every_sequence_is_one_part_without_views_and_alike_on_every_frame(foxes: Path) -> None:
    stack = manifest.read(foxes)
    for sequence in stack.sequences():
        seen = set()
        for file in sequence.files:
            (header,) = headers(foxes, file)
            assert not {"view", "multiView"} & set(header)
            assert str(header["lineOrder"]).endswith("INCREASING_Y")
            assert str(header["type"]).endswith("scanlineimage")
            seen.add(str(sorted(channel.name for channel in header["channels"])))
        assert seen == {"['A', 'B', 'G', 'R']"}, sequence.name


def test_backgrounds_bring_their_own_alpha(foxes: Path) -> None:
    assert read_frame(manifest.read(foxes), foxes, "bg", 1001)[..., 3].min() == 1


def test_a_packed_stack_has_the_layers_that_the_node_makes(foxes: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(foxes, tmp_path / "s"))
    stack = manifest.read(folder)
    image = read_exr(pack(folder, stack)[0])
    layers = {channel.split(".")[0] for channel in image.channels}
    assert layers == {"rgba", *nuke_layers(stack)}
    assert np.array_equal(image.rgba(), read_frame(stack, folder, "comp", 1001))
    for layer in stack.layers:
        assert np.array_equal(image.layer(layer.name), read_frame(stack, folder, layer.name, 1001))


def test_layer_names_are_nuke_s_only_for_layers(foxes: Path) -> None:
    names = nuke_layers(manifest.read(foxes))
    assert not {name.lower() for name in names} & RESERVED
    assert all(nuke_channel(f"{name}.R") == f"{name}.red" for name in names)
    assert len(names) * len(CHANNELS) < 1024
    assert nuke_layer("mask") == "mask_layer"
