"""Image files and sequences: which files are frames, and what is read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.stills import find_images, find_sequence, read_image, read_info


def test_grey_images_and_crops_are_read(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 12), 51, np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").rgb.unique().tolist() == pytest.approx([0.2])
    spec = oiio.ImageSpec(4, 2, 3, "half")
    spec.x, spec.y, spec.full_width, spec.full_height = 3, 5, 12, 8
    out = oiio.ImageOutput.create("exr")
    out.open(str(tmp_path / "b.exr"), spec)
    out.write_image(np.ones((2, 4, 3), np.float32))
    out.close()
    rgb = read_image(tmp_path / "b.exr").rgb
    assert rgb.shape == (3, 8, 12)
    assert (rgb[:, 5:7, 3:7] == 1).all()
    assert rgb.sum() == 3 * 8


def test_the_size_is_that_of_the_display_window(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(4, 2, 3, "half")
    spec.full_width, spec.full_height = 12, 8
    spec.attribute("PixelAspectRatio", 2.0)
    out = oiio.ImageOutput.create("exr")
    out.open(str(tmp_path / "a.exr"), spec)
    out.write_image(np.ones((2, 4, 3), np.float32))
    out.close()
    info = read_info(tmp_path / "a.exr")
    assert (info.width, info.height, info.pixel_aspect) == (12, 8, 2.0)
    assert info.sample_format == "3 x half"


@pytest.mark.parametrize("name", ["", "s.####.exr", "s.%d.exr"])
def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, name: str) -> None:
    for number in (100, 98, 101, 99):
        (tmp_path / f"s.{number}.exr").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".s.102.exr").touch()
    names = [path.name for path in find_images(tmp_path / name)]
    assert names == ["s.98.exr", "s.99.exr", "s.100.exr", "s.101.exr"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "PICTURES_MISSING"),
        (["a.1.png", "a.3.png"], "PICTURES_MIXED"),
        (["a.1.png", "b.1.png"], "PICTURES_MIXED"),
    ],
)
def test_what_is_no_sequence_is_an_error(tmp_path: Path, names: list[str], reason: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(FootageError) as caught:
        find_sequence(tmp_path, "plate")
    assert caught.value.reason == reason
