"""Each pitfall of EXR files that was found while choosing the libraries is one test here."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch

from fakes.sample_stacks import read_exr, read_rgba
from layert2v import spec
from layert2v_engine.errors import StackError
from layert2v_engine.image import exr
from layert2v_engine.image.exr_header import COMPRESSIONS, ExrOptions, Tags


def tags(**changes: Any) -> Tags:
    return Tags(**{"colorspace": "lin_ap1_scene", "fps": 24.0, "frame": 1001, **changes})


def pixels(height: int = 17, width: int = 23, channels: int = 4) -> torch.Tensor:
    return torch.rand(height, width, channels, generator=torch.Generator().manual_seed(2)).half()


def write(path: Path, picture: torch.Tensor, codec: str = "zip", **changes: Any) -> Path:
    exr.write(path, picture, tags(**changes), ExrOptions(compression=codec))
    return path


@pytest.mark.parametrize("codec", [name for name, lossless in COMPRESSIONS.items() if lossless])
def test_half_values_come_back_to_the_bit(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "a.exr", pixels(), codec)
    assert np.array_equal(read_rgba(path), pixels().numpy())
    assert torch.equal(exr.read(path), pixels())


@pytest.mark.parametrize("codec", COMPRESSIONS)
def test_the_codec_in_the_file_is_the_one_asked_for(tmp_path: Path, codec: str) -> None:
    """OIIO turns a name that it does not know into zip without a word."""
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(), codec))
    expected = {"none": "NO_COMPRESSION"}.get(codec, f"{codec.upper()}_COMPRESSION")
    assert header["compression"] == getattr(OpenEXR, expected)


@pytest.mark.parametrize("codec", ["htj2k", "b44a", "pxr24", "ZIP", ""])
def test_other_codecs_are_refused(codec: str) -> None:
    with pytest.raises(StackError) as caught:
        ExrOptions(compression=codec)
    assert caught.value.reason == "COMPRESSION_UNKNOWN"


@pytest.mark.parametrize("codec", ["dwaa", "dwab"])
def test_lossy_codecs_leave_alpha_exact(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "a.exr", pixels(), codec)
    assert not ExrOptions(compression=codec).lossless
    assert np.array_equal(read_rgba(path)[..., 3], pixels()[..., 3].numpy())


def test_views_with_gaps_are_written_right(tmp_path: Path) -> None:
    """OpenEXR writes wrong pixels for them and OIIO a broken file, both without an exception."""
    planes = torch.rand(4, 20, 30).half()
    for number, view in enumerate(
        (planes.movedim(0, -1), pixels(40, 60)[5:25, 7:37], pixels()[::2])
    ):
        path = write(tmp_path / f"{number}.exr", view)
        assert np.array_equal(read_rgba(path), view.numpy())


@pytest.mark.parametrize(
    "picture", [pixels().flatten(1), pixels().float(), pixels(channels=3), pixels()[None]]
)
def test_arrays_of_another_shape_or_type_are_refused(tmp_path: Path, picture: torch.Tensor) -> None:
    """OIIO takes any array with the right number of values."""
    with pytest.raises(ValueError, match="want half"):
        write(tmp_path / "a.exr", picture)
    assert not list(tmp_path.iterdir())


def test_windows_start_at_zero_and_are_equal(tmp_path: Path) -> None:
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(17, 23)))
    for name in ("dataWindow", "displayWindow"):
        assert [corner.tolist() for corner in header[name]] == [[0, 0], [22, 16]]
    assert header["type"] == OpenEXR.scanlineimage
    assert header["lineOrder"] == OpenEXR.INCREASING_Y


def test_the_color_tag_stands_alone(tmp_path: Path) -> None:
    header, _ = read_exr(write(tmp_path / "a.exr", pixels()))
    assert header["colorInteropID"] == "lin_ap1_scene"
    assert "chromaticities" not in header
    assert OpenEXR.checkColorMetadata(header) == 0


def test_there_is_no_view_and_one_part(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", pixels())
    header, planes = read_exr(path)
    assert {"view", "multiView", "name"} & set(header) == set()
    assert set(planes) == set("RGBA")
    assert len(OpenEXR.File(str(path)).parts) == 1


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (24.0, Fraction(24)),
        (8.0, Fraction(8)),
        (4.0, Fraction(4)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_the_frame_rate_is_a_fraction_under_its_right_name(
    tmp_path: Path, fps: float, rate: Fraction
) -> None:
    """OIIO's own generic name lands in the file as ``FramesPerSecond``, which nobody reads."""
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(), fps=fps))
    assert header["framesPerSecond"] == rate
    assert "FramesPerSecond" not in header


def test_time_code_and_frame_number(tmp_path: Path) -> None:
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(), frame=90061 * 24 + 23))
    code = header["timeCode"]  # 25 h 1 min 1 s wraps at midnight
    assert (code.hours, code.minutes, code.seconds, code.frame) == (1, 1, 1, 23)
    assert header["imageCounter"] == 90061 * 24 + 23


def test_there_is_no_time_code_where_it_has_no_room(tmp_path: Path) -> None:
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(), fps=60.0))
    assert "timeCode" not in header


def test_text_of_any_script_and_length_survives(tmp_path: Path) -> None:
    prompt, blob = "狐 läuft 🦊", json.dumps({"frames": list(range(60_000))})
    path = write(tmp_path / "a.exr", pixels(), comments=prompt, custom={"blob": blob})
    header, _ = read_exr(path)
    assert header["comments"] == prompt
    assert header["layert2v/blob"] == blob
    assert torch.equal(exr.read(path), pixels())


def test_a_seed_above_53_bits_survives_as_text(tmp_path: Path) -> None:
    """As numbers, OIIO drops what is above 31 bits and OpenEXR writes 0."""
    seed = str(2**63 - 1)
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(), custom={"seed": seed}))
    assert header["layert2v/seed"] == seed


def test_equal_pixels_are_equal_files(tmp_path: Path) -> None:
    """OIIO would write the time of day."""
    one, two = (write(tmp_path / name, pixels()) for name in ("a.exr", "b.exr"))
    assert "capDate" not in read_exr(one)[0]
    assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(two.read_bytes()).digest()


def test_pixel_aspect(tmp_path: Path) -> None:
    header, _ = read_exr(write(tmp_path / "a.exr", pixels(), pixel_aspect=2.0))
    assert header["pixelAspectRatio"] == 2.0


def test_the_generator_is_this_release(tmp_path: Path) -> None:
    project = (Path(__file__).parents[4] / "pyproject.toml").read_text(encoding="utf-8")
    version = project.partition('\nversion = "')[2].partition('"')[0]
    header, _ = read_exr(write(tmp_path / "a.exr", pixels()))
    assert header["Software"] == f"layert2v {version}"


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99, -1])
def test_a_file_that_is_cut_off_is_seen(tmp_path: Path, kept: float) -> None:
    """OIIO reports success when the last flush fails; the table of chunks does not lie."""
    path = write(tmp_path / "a.exr", pixels())
    assert exr.is_complete(path)
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    assert not exr.is_complete(path)


def test_a_hole_at_the_end_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", pixels())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert not exr.is_complete(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x76\x2f\x31\x01" + bytes(40)])
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(content)
    with pytest.raises(StackError, match="cannot be read") as caught:
        exr.read(path)
    assert caught.value.reason == "FRAME_UNREADABLE"


def test_other_channels_are_not_taken_for_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    exr.write(path, pixels(channels=3), tags(), ExrOptions(), ("R", "G", "B"))
    with pytest.raises(StackError, match="holds half R G B"):
        exr.read(path)


def test_a_float_file_is_not_taken_for_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    OpenEXR.File({}, {"RGBA": pixels().float().numpy()}).write(str(path))
    with pytest.raises(StackError, match="holds float"):
        exr.read(path)


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError) as caught:
        write(tmp_path / "file" / "a.exr", pixels())
    assert caught.value.reason == "WRITE_FAILED"


def test_a_refused_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.exr"
    target.mkdir()  # a folder in the file's place: the rename fails
    with pytest.raises(StackError):
        write(target, pixels())
    assert [path.name for path in tmp_path.iterdir()] == ["a.exr"]


def test_requests_name_the_compressions_that_files_can_have() -> None:
    assert set(spec.COMPRESSIONS) == set(COMPRESSIONS)
    assert ExrOptions().compression == spec.COMPRESSIONS[0]
