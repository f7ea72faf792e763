"""Headers of image files as cameras, Photoshop, Nuke and Blender write them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from PIL import Image

from fakes.footage import HEIGHT, WIDTH, flat, rgba_planes, save_exr, save_png_chunks
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.alpha import choose_alpha
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.stills import StillSequence, read_image, read_info

COLOR, OTHER = (0.5, 0.25, 0.125), (0.0, 1.0, 0.75)


def save_parts(path: Path, *parts: tuple[str, str, tuple[float, float, float]]) -> Path:
    """Write an EXR with one part for each name, view and color."""
    written = []
    for name, view, color in parts:
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        planes = {
            channel: OpenEXR.Channel(np.full((HEIGHT, WIDTH), value, np.float16))
            for channel, value in zip("RGB", color, strict=True)
        }
        written.append(OpenEXR.Part({**header, "view": view}, planes, name))
    OpenEXR.File(written).write(str(path))
    return path


@pytest.mark.parametrize("names", [("rgba.left", "rgba.right"), ("left", "right"), ("a", "b")])
@pytest.mark.parametrize("order", [1, -1])
def test_the_first_view_of_a_stereo_file_is_the_picture(
    tmp_path: Path, names: tuple[str, str], order: int
) -> None:
    views = [(names[0], "left", COLOR), (names[1], "right", OTHER)]
    if names == ("a", "b"):  # names of parts that say nothing are no views
        with pytest.raises(FootageError, match="it holds a, b"):
            read_info(save_parts(tmp_path / "a.exr", *views))
        return
    path = save_parts(tmp_path / "a.exr", *views[::order])
    # What a header states first is the main view.
    expected, first, second = [(COLOR, "left", "right"), (OTHER, "right", "left")][order < 0]
    assert read_image(path).rgb[:, 3, 3].tolist() == pytest.approx(list(expected))
    assert read_info(path).notes == (f"a.exr: the picture is its view {first}, beside {second}.",)


def test_the_unnamed_channels_are_the_main_view(tmp_path: Path) -> None:
    other = {f"right.{name}": plane for name, plane in rgba_planes(OTHER).items()}
    save = save_exr({**rgba_planes(COLOR), **other}, multiView=["left", "right"])
    save(tmp_path / "a.exr")
    assert read_image(tmp_path / "a.exr").rgb[:, 3, 3].tolist() == pytest.approx(list(COLOR))
    assert "beside right" in read_info(tmp_path / "a.exr").notes[0]


def test_ids_are_no_color(tmp_path: Path) -> None:
    ids = np.full((HEIGHT, WIDTH), 7, np.uint32)
    save_exr(dict.fromkeys("RGB", ids), np.uint32)(tmp_path / "a.exr")
    with pytest.raises(FootageError, match="ids and no color, in R, G, B"):
        read_image(tmp_path / "a.exr")


def test_an_alpha_for_each_color_is_refused_and_one_beside_it_counts(tmp_path: Path) -> None:
    planes = {**rgba_planes(COLOR, 0.5), **dict.fromkeys(("AR", "AG", "AB"), np.ones((24, 32)))}
    save_exr(planes)(tmp_path / "a.exr")
    assert read_image(tmp_path / "a.exr").alpha is not None
    del planes["A"]
    save_exr(planes)(tmp_path / "b.exr")
    with pytest.raises(FootageError, match="an alpha for each color"):
        read_image(tmp_path / "b.exr")


def save_tiff(path: Path, pixels: np.ndarray, extra: tuple[int, ...]) -> Path:
    """Write an 8-bit TIFF byte by byte: ``extra`` says what the samples beside RGB are."""
    height, width, count = pixels.shape
    blob = struct.pack(f"<{count}H", *[8] * count)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, count, 0), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (273, 4, 1, 0), (277, 3, 1, count), (278, 4, 1, height)]
    tags += [(279, 4, 1, pixels.size), (284, 3, 1, 1)]
    tags += [(338, 3, len(extra), extra[0])] if extra else []
    start = 8 + 2 + 12 * len(tags) + 4
    values = {258: start, 273: start + len(blob)}
    entries = [struct.pack("<HHII", t, k, n, values.get(t, v)) for t, k, n, v in sorted(tags)]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4)
    path.write_bytes(head + blob + pixels.tobytes())
    return path


@pytest.mark.parametrize(("extra", "kind"), [(1, "premultiplied"), (2, "straight"), (0, None)])
def test_the_fourth_sample_of_a_tiff_is_what_it_says(
    tmp_path: Path, extra: int, kind: str | None
) -> None:
    pixels = np.full((4, 6, 4), (200, 100, 50, 128), np.uint8)
    path = save_tiff(tmp_path / "a.tif", pixels, (extra,))
    info, frame = read_info(path), read_image(path)
    assert info.alpha == kind
    assert frame.alpha is not None
    assert float(frame.alpha[0, 0]) == pytest.approx(128 / 255)
    assert bool(info.notes) == (kind is None)
    if kind is None:  # 200 exceeds its 128
        chosen, notes = choose_alpha(info, "a.tif", "auto", [frame])
        assert (chosen, len(notes)) == ("straight", 1)


def test_pages_beyond_the_first_are_noted_and_thumbnails_are_not(tmp_path: Path) -> None:
    pages = [Image.fromarray(flat(200)), Image.fromarray(flat(100))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_info(tmp_path / "a.tif").notes == ("a.tif has several pages; the first is read.",)
    assert float(read_image(tmp_path / "a.tif").rgb[0, 0, 0]) == pytest.approx(200 / 255)
    small = [pages[0].resize((8, 6))]
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=small)
    assert read_info(tmp_path / "b.tif").notes == ()


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [("a.tif", "CMYK", "CMYK"), ("a.jpg", "CMYK", "CMYK"), ("b.tif", "LAB", r"CIE L\*a\*b\*")],
)
def test_colors_that_are_no_rgb_are_refused(
    tmp_path: Path, name: str, mode: str, words: str
) -> None:
    Image.new(mode, (6, 4)).save(tmp_path / name)
    with pytest.raises(FootageError, match=words):
        open_clip(tmp_path / name)


def test_palettes_and_color_keys_of_png_become_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 128, 255])
    image.putdata([0, 1])
    image.save(tmp_path / "p.png", transparency=bytes([255, 128]))
    frame = read_image(tmp_path / "p.png")
    assert frame.alpha is not None
    assert frame.alpha[0].tolist() == pytest.approx([1, 128 / 255])
    assert frame.rgb[:, 0, 1].tolist() == pytest.approx([0, 128 / 255, 1])
    Image.fromarray(np.array([[10, 200]], np.uint8)).save(tmp_path / "g.png", transparency=10)
    keyed = read_image(tmp_path / "g.png").alpha
    assert keyed is not None
    assert keyed[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("bits", "codes"), [(1, [0, 1]), (2, [0, 1, 2, 3]), (4, [0, 5, 15])])
def test_few_bits_are_spread_over_the_whole_range(
    tmp_path: Path, bits: int, codes: list[int]
) -> None:
    packed = "".join(f"{code:0{bits}b}" for code in codes).ljust(8 * 8, "0")
    row = int(packed, 2).to_bytes(8, "big")[: -(-len(codes) * bits // 8)]
    save_png_chunks(tmp_path / "a.png", (len(codes), 1, bits, 0), row)
    read = read_image(tmp_path / "a.png").rgb[0, 0].tolist()
    assert read == pytest.approx([code / (2**bits - 1) for code in codes])


def test_an_animated_png_is_a_clip_and_as_a_plate_its_still(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 6, 4), (v, 9, 9, 128), np.uint8)) for v in (200, 100, 50)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=40)
    clip = open_clip(tmp_path / "a.png")
    assert [round(float(frame.rgb[0, 0, 0]) * 255) for frame in clip] == [200, 100, 50]
    assert clip.info.alpha == "straight"
    assert clip.info.fps == pytest.approx(25)
    notes = StillSequence(tmp_path).notes
    assert notes == ("a.png is an animation of 3 frames; its still is read.",)


def test_an_image_by_another_suffix_is_read_as_what_it_is(tmp_path: Path) -> None:
    Image.fromarray(flat(90)).save(tmp_path / "a.jpg", quality=100)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.jpg").read_bytes())
    info = read_info(tmp_path / "a.png")
    assert not info.is_lossless
    assert info.alpha is None


def test_mixed_depths_and_linked_frames_are_one_sequence(tmp_path: Path) -> None:
    store, shot = tmp_path / "store", tmp_path / "my shot v2"
    store.mkdir()
    shot.mkdir()
    Image.fromarray(flat(51)).save(store / "x.png")
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 3, "uint16")
    out = oiio.ImageOutput.create("png")
    assert out.open(str(store / "y.png"), spec)
    assert out.write_image(np.full((HEIGHT, WIDTH, 3), 0.2, np.float32))
    out.close()
    (shot / "My Shot 0001.PNG").symlink_to(store / "x.png")
    (shot / "my shot 0002.png").symlink_to(store / "y.png")
    values = [float(frame.rgb[0, 0, 0]) for frame in open_clip(shot)]
    assert values == pytest.approx([0.2, 0.2], abs=1e-4)
    (shot / "my shot 0003.png").symlink_to(store / "gone.png")
    with pytest.raises(FootageError, match=r"my shot 0003\.png cannot be used"):
        open_clip(shot)
