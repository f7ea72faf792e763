"""Layer files against recorded numbers: headers, pixels of a known image, colors.

A difference means that stacks made yesterday and today do not match. If that is wanted, write the
numbers anew with ``python tests/golden/test_stack_golden.py`` and say why in the change.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import torch

from layert2v.stack import Role
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.pack import pack
from layert2v_engine.stack.writer import StackWriter

GOLDEN = Path(__file__).with_name("stack.json")
SPACES = ("lin_rec709_scene", "lin_ap1_scene", "lin_ap0_scene", "lin_rec2020_scene")
CODES = (0.0, 0.02, 0.04, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
# Powers differ in the last bit between processors; half rounds most of that away, not all.
ULP = 1


def measure(folder: Path) -> dict[str, Any]:
    """Return headers and pixels of a small stack, and colors through every delivered space."""
    ramp = torch.linspace(0, 1, 12).reshape(1, 3, 4)
    with StackWriter(
        folder,
        name="golden",
        width=4,
        height=3,
        fps=23.976,
        start_frame=1001,
        frames=1,
        colorspace="ACEScg",
        shadow_domain="display",
    ) as writer:
        writer.add_layer("bg", Role.background, prompt="forest", seed=2**62)
        writer.add_layer("shadow_01", Role.shadow, caster="fg_01", seed=1)
        writer.add_layer("fg_01", Role.foreground, prompt="fox", seed=2)
        writer.write_frame("bg", 0, torch.cat((ramp, 1 - ramp, ramp**2)))
        writer.write_frame("shadow_01", 0, None, ramp[0] * 0.5)
        writer.write_frame("fg_01", 0, torch.cat((1 - ramp, ramp, ramp)), ramp[0].flip(0))
        stack = writer.finish(Provenance(prompt="fox in forest", seed=3, model="mini"))
    packed = pack(folder, stack)[0]
    paths = [folder / each.files[0].path for each in (*stack.layers, *stack.flats)]
    files = {}
    for path in (*paths, packed):
        file = OpenEXR.File(str(path), separate_channels=True)
        header = {k: str(v) for k, v in file.header().items() if k not in ("channels", "timeCode")}
        planes = {
            k: v.pixels.view(np.uint16).flatten().tolist() for k, v in file.channels().items()
        }
        files[path.name] = {"header": header, "bits": planes}
    return {"files": files, "colors": _colors()}


def _colors() -> dict[str, list[list[int]]]:
    config, codes = ColorConfig.load(), torch.tensor(CODES)
    image = torch.stack((codes, codes.flip(0), codes**2))[:, None]
    return {
        space: config.transform("srgb_rec709_scene", space)(image)[:, 0]
        .half()
        .view(torch.int16)
        .tolist()
        for space in SPACES
    }


def test_headers_match_the_record(tmp_path: Path) -> None:
    measured, golden = measure(tmp_path / "s"), json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert list(measured["files"]) == list(golden["files"])
    for name, file in golden["files"].items():
        assert measured["files"][name]["header"] == file["header"]


def test_pixels_match_the_record(tmp_path: Path) -> None:
    measured, golden = measure(tmp_path / "s"), json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name, file in golden["files"].items():
        for channel, bits in file["bits"].items():
            steps = np.subtract(measured["files"][name]["bits"][channel], bits)
            assert np.abs(steps).max() <= ULP, (name, channel)


def test_colors_match_the_record() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["colors"]
    for space, bits in _colors().items():
        assert np.abs(np.subtract(bits, golden[space])).max() <= ULP, space


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        numbers = measure(Path(folder) / "s")
    GOLDEN.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
