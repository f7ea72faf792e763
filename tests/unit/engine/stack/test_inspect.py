from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch

from fakes.sample_stacks import read_rgba, write_stack
from layert2v_engine.image import exr
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.stack import manifest
from layert2v_engine.stack.inspect import Report, inspect
from layert2v_engine.stack.pack import pack

BG = "bg/v001/bg_v001.1002.exr"
FG = "fg_01/v001/fg_01_v001.1001.exr"


def look(folder: Path) -> Report:
    return inspect(folder, manifest.read(folder))


def rewrite(path: Path, change: Callable[[np.ndarray], None], **tags: object) -> None:
    """Put other pixels or tags into a layer file, as a careless tool would."""
    pixels = read_rgba(path)
    change(pixels)
    settings = {"colorspace": "lin_rec709_scene", "fps": 24.0, "frame": 1002, **tags}
    exr.write(path, torch.from_numpy(pixels), Tags(**settings), ExrOptions())


def keep(pixels: np.ndarray) -> None:
    """Change nothing."""


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    write_stack(tmp_path / "s")
    return tmp_path / "s"


def test_a_delivered_stack_has_no_problems(stack: Path) -> None:
    report = look(stack)
    assert report.problems == []
    assert report.exact_comp_frames == 2
    assert report.matching_hashes == 12
    assert report.packed is None


def test_the_report_says_what_the_files_hold(stack: Path) -> None:
    found = {each.name: each for each in look(stack).sequences}
    assert list(found) == ["comp", "ref", "bg", "shadow_01", "fg_01"]
    background, foreground = found["bg"], found["fg_01"]
    assert (background.pixels, background.channels, background.compression) == (
        "half",
        "R G B A",
        "zips",
    )
    assert background.colorspace == "lin_rec709_scene"
    assert (background.alpha.low, background.alpha.high) == (1.0, 1.0)
    assert (foreground.alpha.low, foreground.alpha.high) == (0.0, 1.0)
    assert foreground.frames == 2


def test_a_changed_pixel_is_found_by_hash_and_by_recomposition(stack: Path) -> None:
    def darken(pixels: np.ndarray) -> None:
        pixels[3, 2, 1] *= np.float16(0.5)

    rewrite(stack / BG, darken, comments="a forest")
    report = look(stack)
    assert any("its hash differs" in problem for problem in report.problems)
    assert any("comp of frame 1002 is not the over" in problem for problem in report.problems)
    assert report.exact_comp_frames == 1
    assert report.comp_error > 0.01


def test_a_wrong_alpha_differs_from_wrong_color(stack: Path) -> None:
    def fade(pixels: np.ndarray) -> None:
        pixels[0, 0, 3] = 0.5

    rewrite(stack / BG, fade)
    report = look(stack)
    assert report.comp_alpha_error == pytest.approx(0.5)
    assert any("background bg is not opaque" in problem for problem in report.problems)


def test_values_that_are_not_numbers_are_counted(stack: Path) -> None:
    def spoil(pixels: np.ndarray) -> None:
        pixels[0, 0, 0], pixels[0, 1, 1] = np.nan, np.inf

    rewrite(stack / BG, spoil)
    assert "bg has 2 values that are not numbers." in look(stack).problems


def test_alpha_out_of_range_is_found(stack: Path) -> None:
    def inflate(pixels: np.ndarray) -> None:
        pixels[0, 0, 3] = 1.5

    rewrite(stack / BG, inflate)
    assert any("bg has alpha outside 0 to 1" in problem for problem in look(stack).problems)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        (
            {"colorspace": "lin_ap1_scene"},
            "says colorInteropID lin_ap1_scene, not",
        ),
        ({"fps": 25.0}, "says framesPerSecond 25, not 24"),
        ({"frame": 7}, "says imageCounter 7, not 1002"),
        ({"pixel_aspect": 2.0}, "says pixelAspectRatio 2.0, not 1.0"),
    ],
)
def test_a_wrong_tag_is_found(stack: Path, tags: dict[str, object], problem: str) -> None:
    rewrite(stack / BG, keep, **tags)
    assert any(problem in problem for problem in look(stack).problems)


def test_foreign_files_are_described(stack: Path) -> None:
    """Float, shifted window, chromaticities: what a resave by another tool may leave."""
    header = {
        "chromaticities": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329),
        "dataWindow": (np.array([1, 0], np.int32), np.array([28, 17], np.int32)),
    }
    pixels = read_rgba(stack / BG).astype(np.float32)
    OpenEXR.File(header, {"RGBA": pixels}).write(str(stack / BG))
    text = "\n".join(look(stack).problems)
    assert "has dataWindow (1, 0, 28, 17), not (0, 0, 27, 17)" in text
    assert "has the attribute chromaticities" in text
    assert "is not half float" in text


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_a_damaged_file_is_reported_and_the_rest_is_looked_at(stack: Path, content: bytes) -> None:
    (stack / FG).write_bytes(content)
    report = look(stack)
    assert f"{FG} cannot be read." in report.problems
    assert report.exact_comp_frames == 1


def test_a_truncated_file_is_one_problem_and_no_noise(
    stack: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = (stack / FG).read_bytes()
    for damaged in (whole[:100], whole[: len(whole) // 2], whole[:400] + bytes(len(whole) - 400)):
        (stack / FG).write_bytes(damaged)
        assert f"{FG} cannot be read." in look(stack).problems
    assert capfd.readouterr() == ("", "")
    os.write(2, b"the terminal is back")
    assert capfd.readouterr().err == "the terminal is back"


def test_a_missing_file_is_reported_once(stack: Path) -> None:
    (stack / FG).unlink()
    assert look(stack).problems == [f"{FG} is missing."]


def test_other_channels_are_reported(stack: Path) -> None:
    pixels = read_rgba(stack / BG)[..., :3].copy()
    OpenEXR.File({}, {"RGB": pixels}).write(str(stack / BG))
    assert any("not R G B A" in problem for problem in look(stack).problems)


def test_what_an_interrupted_write_left_is_reported(stack: Path) -> None:
    (stack / "bg" / "v001" / ".bg_v001.1001.exr.1.part").write_bytes(b"half")
    assert any("interrupted write" in problem for problem in look(stack).problems)


def test_packed_frames_are_compared_with_the_layers(stack: Path) -> None:
    pack(stack, manifest.read(stack))
    assert (look(stack).packed, look(stack).problems) == (2, [])
    rewrite(stack / BG, lambda pixels: pixels.fill(1.0))
    assert any("holds other pixels than bg" in problem for problem in look(stack).problems)


def test_a_missing_packed_frame_is_reported(stack: Path) -> None:
    pack(stack, manifest.read(stack))[0].unlink()
    assert any("packed/v001" in problem for problem in look(stack).problems)
