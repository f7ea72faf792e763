"""Image files and sequences: which files are frames, and what is read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from PIL import Image, ImageOps

from fakes.footage import (
    HEIGHT,
    WIDTH,
    flat,
    rgba_planes,
    save_exr,
    save_oiio,
    save_png,
    save_video,
    sequence,
)
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.stills import (
    StillSequence,
    find_images,
    find_sequence,
    read_image,
    read_info,
)


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


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_is_turned_as_viewers_show_it(
    tmp_path: Path, number: int, suffix: str
) -> None:
    """Pillow turns by its own code; the right picture is what it shows."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack((x * 7, y * 9, 0 * x), -1).astype(np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = number
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    image.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"a.{suffix}")))
    info, frame = read_info(tmp_path / f"a.{suffix}"), read_image(tmp_path / f"a.{suffix}")
    assert (info.height, info.width) == expected.shape[:2]
    seen = frame.rgb.movedim(0, -1).numpy() * 255
    assert np.abs(seen - expected).max() < 6


@pytest.mark.parametrize(
    ("data", "display"),
    [
        ((3, 5, 4, 2), (0, 0, 12, 8)),
        ((-3, -2, 20, 14), (0, 0, 12, 8)),
        ((-3, 2, 6, 20), (0, 0, 12, 8)),
        ((100, 50, 4, 2), (0, 0, 12, 8)),
        ((-9, -9, 4, 4), (0, 0, 12, 8)),
        ((105, 52, 4, 2), (100, 50, 12, 8)),
        ((0, 0, 12, 8), (0, 0, 12, 8)),
    ],
)
def test_data_windows_may_lie_anywhere(
    tmp_path: Path, data: tuple[int, int, int, int], display: tuple[int, int, int, int]
) -> None:
    def window(x: int, y: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array((x, y), np.int32), np.array((x + width - 1, y + height - 1), np.int32)

    red = np.arange(1, data[2] * data[3] + 1, dtype=np.float32).reshape(data[3], data[2])
    planes = {"R": red, "G": red, "B": red}
    header = {"dataWindow": window(*data), "displayWindow": window(*display)}
    save_exr(planes, np.float32, **header)(tmp_path / "a.exr")
    expected = np.zeros((display[3], display[2]))
    for row in range(data[3]):
        for column in range(data[2]):
            y, x = data[1] + row - display[1], data[0] + column - display[0]
            if 0 <= y < display[3] and 0 <= x < display[2]:
                expected[y, x] = red[row, column]
    assert np.array_equal(read_image(tmp_path / "a.exr").rgb[0].numpy(), expected)


def test_pixel_aspect_turns_with_the_picture(tmp_path: Path) -> None:
    path = save_oiio(tmp_path / "a.tif", flat(9) / 255, "uint8", PixelAspectRatio=2.0)
    turned = save_oiio(
        tmp_path / "b.tif", flat(9) / 255, "uint8", PixelAspectRatio=2.0, Orientation=6
    )
    assert read_info(path).pixel_aspect == pytest.approx(2.0)
    assert read_info(turned).pixel_aspect == pytest.approx(0.5)
    save_png(flat(9))(tmp_path / "c.png")
    assert read_info(tmp_path / "c.png").pixel_aspect is None


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    def save(path: Path) -> None:
        save_png(flat(60, width=WIDTH + 2 * path.name.endswith("3.png")))(path)

    with pytest.raises(FootageError, match=r"f\.0003\.png has another size .* 34 x 24"):
        open_clip(sequence(tmp_path / "s", save))


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["a.-2.png", "a.-1.png", "a.0.png", "a.1.png"], -2),
        (["a.-0010.png", "a.-0009.png"], -10),
        (["ComfyUI_00009_.png", "ComfyUI_00010_.png"], 9),
        (["a.9998.png", "a.9999.png", "a.10000.png"], 9998),
        (["shot-1.png", "shot-2.png"], 1),
        (["sh010_v001.1001.png", "sh010_v001.1002.png"], 1001),
        (["alone.png"], None),
    ],
)
def test_frame_numbers_of_every_tool_are_one_sequence(
    tmp_path: Path, names: list[str], first: int | None
) -> None:
    for name in reversed(names):
        save_png(flat(1))(tmp_path / name)
    clip = StillSequence(tmp_path)
    assert [path.name for path in clip.files] == names
    assert clip.info.first_frame == first


def test_negative_numbers_fit_a_pattern(tmp_path: Path) -> None:
    for number in (-1, 0, 1):
        save_png(flat(1))(tmp_path / f"a.{number}.png")
    assert len(find_images(tmp_path / "a.####.png")) == 3


def test_missing_frames_are_named(tmp_path: Path) -> None:
    for number in (1001, 1002, 1005):
        save_png(flat(1))(tmp_path / f"a.{number}.png")
    with pytest.raises(FootageError, match=r"missing between a\.1002\.png and a\.1005\.png"):
        StillSequence(tmp_path)


def test_the_part_with_the_picture_is_read_and_depth_is_none(tmp_path: Path) -> None:
    head = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    depth = {"Z": OpenEXR.Channel(np.full((HEIGHT, WIDTH), 5, np.float32))}
    planes = rgba_planes((0.5, 0.25, 0.1))
    beauty = {name: OpenEXR.Channel(plane.astype(np.float16)) for name, plane in planes.items()}
    parts = [OpenEXR.Part(dict(head), depth, "depth"), OpenEXR.Part(dict(head), beauty, "rgba")]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    assert read_image(tmp_path / "a.exr").rgb[:, 5, 5].tolist() == pytest.approx(
        [0.5, 0.25, 0.1], abs=1e-3
    )
    save_exr({"Z": np.ones((4, 4))}, np.float32)(tmp_path / "z.exr")
    with pytest.raises(FootageError, match="it holds Z, not R, G, B"):
        read_image(tmp_path / "z.exr")


def test_sixteen_bits_and_palettes_are_what_they_are(tmp_path: Path) -> None:
    Image.fromarray(flat((10, 200, 30))).convert("P").save(tmp_path / "p.png")
    Image.fromarray(np.full((4, 4), 12345, np.uint16)).save(tmp_path / "g.png")
    expected = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))[0, 0] / 255
    np.testing.assert_allclose(read_image(tmp_path / "p.png").rgb[:, 0, 0], expected, atol=1e-6)
    assert read_image(tmp_path / "g.png").rgb.unique().tolist() == pytest.approx([12345 / 65535])


def test_a_nan_is_repaired_and_named(tmp_path: Path) -> None:
    planes = rgba_planes((0.5, 0.4, 0.3))
    planes["R"][3, 3] = np.nan
    sequence(tmp_path / "s", save_exr(planes, np.float32), name="p.{:04d}.exr")
    clip = open_clip(tmp_path / "s")
    assert all(float(frame.rgb[0, 3, 3]) == 0.5 for frame in clip)
    assert "Pixels that are no numbers" in clip.notes[-1]
    assert "p.0001.exr and 2 more" in clip.notes[-1]


def test_timecode_of_a_frame_is_read(tmp_path: Path) -> None:
    code = OpenEXR.TimeCode(1, 2, 3, 4, *[0] * 14)
    save_exr(rgba_planes((0.5, 0.4, 0.3)), timeCode=code)(tmp_path / "a.exr")
    assert read_info(tmp_path / "a.exr").timecode == "01:02:03:04"
    spec = oiio.ImageSpec(8, 8, 3, "uint16")
    spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), (0x01020304, 0))
    out = oiio.ImageOutput.create("dpx")
    assert out.open(str(tmp_path / "a.dpx"), spec)
    out.write_image(np.full((8, 8, 3), 0.5, np.float32))
    out.close()
    assert read_info(tmp_path / "a.dpx").timecode == "01:02:03:04"
    save_png(flat(9))(tmp_path / "a.png")
    assert read_info(tmp_path / "a.png").timecode == ""


def test_pixels_of_another_shape_within_a_sequence_are_refused(tmp_path: Path) -> None:
    planes = {each: np.zeros((HEIGHT, WIDTH)) for each in "RGB"}
    for number, aspect in ((1, 2.0), (2, 2.0), (3, 1.0)):
        save_exr(planes, pixelAspectRatio=aspect)(tmp_path / f"a.{number:04d}.exr")
    with pytest.raises(FootageError, match=r"a\.0003\.exr has pixels of shape 1, and") as caught:
        StillSequence(tmp_path)
    assert caught.value.reason == "ASPECTS_DIFFER"


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_of_every_format_is_turned(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    """The stored upper left is white; EXIF says which corner it is shown in."""
    stored = flat(0, 16, 32)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(stored)
    image.save(tmp_path / f"a{suffix}", exif=exif)
    clip = open_clip(tmp_path / f"a{suffix}")
    rgb = next(iter(clip)).rgb[0]
    assert tuple(rgb.shape) == ((16, 32) if orientation == 3 else (32, 16))
    row, column = {3: (-1, -1), 6: (0, -1), 8: (-1, 0)}[orientation]
    assert float(rgb[row, column]) > 0.9
    assert float(rgb.mean()) == pytest.approx(64 / 512, abs=0.02)


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".exr", "half"), (".exr", "float"), (".tif", "float")]
)
def test_light_past_one_stays_and_what_is_no_number_is_repaired(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    for number, broken in enumerate((np.nan, np.inf, -np.inf), start=1):
        light = np.full((24, 32, 3), 12.0, np.float32)
        light[5, 5] = broken
        save_oiio(tmp_path / f"f.{number:04d}{suffix}", light, kind)
    clip = open_clip(tmp_path)
    assert clip.info.is_linear
    assert [each.rgb.unique().tolist() for each in clip] == [[12.0]] * 3
    assert "and 2 more" in clip.notes[-1]


@pytest.mark.parametrize("window", [(-9, -7, 24, 12), (6, 5, 4, 4), (30, 20, 8, 8)])
def test_data_windows_anywhere(tmp_path: Path, window: tuple[int, int, int, int]) -> None:
    """Larger than the display window, inside it, partly outside."""
    left, top, width, height = window
    spec = oiio.ImageSpec(width, height, 3, "half")
    spec.x, spec.y = left, top
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = 0, 0, 32, 24
    out = oiio.ImageOutput.create("exr")
    assert out.open(str(tmp_path / "a.exr"), spec)
    assert out.write_image(np.full((height, width, 3), 0.5, np.float32))
    out.close()
    rgb = next(iter(open_clip(tmp_path / "a.exr"))).rgb[0].numpy()
    expected = np.zeros((24, 32), np.float32)
    expected[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 0.5
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_sizes_that_change_in_mid_sequence_are_named(tmp_path: Path, suffix: str) -> None:
    for number, width in ((1, 32), (2, 32), (3, 30)):
        save_oiio(tmp_path / f"f.{number:04d}{suffix}", flat(90, 24, width) / 255, "half")
    with pytest.raises(FootageError, match=f"f.0003{suffix} has another size") as caught:
        open_clip(tmp_path)
    assert caught.value.reason == "SIZES_DIFFER"


def test_a_folder_with_one_movie_is_that_movie(tmp_path: Path) -> None:
    save_video(tmp_path / "a.mp4", [flat(90)] * 2)
    assert len(list(open_clip(tmp_path))) == 2
    (tmp_path / "b.mp4").touch()
    with pytest.raises(FootageError, match="There is no video or image sequence"):
        open_clip(tmp_path)


def test_a_name_that_no_disk_can_hold_is_a_sentence(tmp_path: Path) -> None:
    for name in ("x" * 300 + ".mp4", "x" * 300 + ".####.exr", "ä" * 200, "a\0b.mp4"):
        with pytest.raises(FootageError, match=r"cannot be read|There is no video"):
            open_clip(tmp_path / name)


@pytest.mark.parametrize("name", ["a.cin", "a.psd", "a.cr2", "a.hdr", "a.webp", "a.txt", "a"])
def test_kinds_of_files_that_are_not_read_get_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 8)
    with pytest.raises(FootageError, match=f"{name} cannot be read"):
        open_clip(tmp_path / name)
