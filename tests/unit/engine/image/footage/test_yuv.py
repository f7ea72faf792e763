"""Layouts of samples: what editors and capture cards store, against their definitions."""

from __future__ import annotations

import av
import numpy as np
import pytest

from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.yuv import (
    _REPACKED,
    convert_samples,
    has_alpha,
    is_gray,
    to_image_frame,
)

WIDTH, HEIGHT = 8, 4


def frame_of_words(layout: str, words: np.ndarray) -> av.VideoFrame:
    """Return a frame of one plane whose samples are ``words`` ``[H, W]``."""
    frame = av.VideoFrame(WIDTH, HEIGHT, layout)
    plane = frame.planes[0]
    row = plane.line_size // words.dtype.itemsize
    padded = np.zeros((HEIGHT, row), words.dtype)
    padded[:, : words.shape[1]] = words
    plane.update(padded.tobytes())
    return frame


@pytest.mark.parametrize(("layout", "bits"), [("rgb565le", (5, 6, 5)), ("rgb555le", (5, 5, 5))])
def test_few_bits_reach_white(layout: str, bits: tuple[int, int, int]) -> None:
    """QuickTime Animation and AVI with thousands of colors."""
    codes = (2 ** bits[0] - 1, 2 ** bits[1] // 2, 1)
    word = codes[0] << (bits[1] + bits[2]) | codes[1] << bits[2] | codes[2]
    frame = frame_of_words(layout, np.full((HEIGHT, WIDTH), word, "<u2"))
    expected = [code / (2**count - 1) for code, count in zip(codes, bits, strict=True)]
    assert to_image_frame(frame, "rgb", True).rgb[:, 2, 3].tolist() == pytest.approx(expected)


def test_ten_bits_in_one_word_are_not_widened() -> None:
    word = 1023 << 20 | 512 << 10 | 1
    frame = frame_of_words("x2rgb10le", np.full((HEIGHT, WIDTH), word, "<u4"))
    rgb = to_image_frame(frame, "rgb", True).rgb[:, 1, 1].tolist()
    assert rgb == pytest.approx([1.0, 512 / 1023, 1 / 1023])


@pytest.mark.parametrize("opaque", [True, False])
def test_palettes_hold_color_and_alpha(opaque: bool) -> None:
    frame = frame_of_words("pal8", np.full((HEIGHT, WIDTH), 3, "u1"))
    palette = np.full((256, 4), (50, 100, 200, 255), np.uint8)  # blue, green, red, alpha
    palette[3, 3] = 255 if opaque else 128
    frame.planes[1].update(palette.tobytes().ljust(frame.planes[1].buffer_size, b"\0"))
    image = to_image_frame(frame, "rgb", True)
    assert image.rgb[:, 1, 1].tolist() == pytest.approx([200 / 255, 100 / 255, 50 / 255])
    assert has_alpha(frame) is not opaque


@pytest.mark.parametrize("layout", sorted(_REPACKED))
def test_packed_layouts_hold_the_same_samples_as_planar_ones(layout: str) -> None:
    """FFmpeg packs noise; the way back must not change a bit of it."""
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    color = av.VideoFrame.from_ndarray(noise, format="rgb24")
    planar = convert_samples(color, format=_REPACKED[layout])
    packed = convert_samples(planar, format=layout)
    if layout.startswith("mono"):
        assert is_gray(layout)
        assert {*to_image_frame(packed, "bt709", True).rgb.unique().tolist()} <= {0.0, 1.0}
    elif layout.startswith("rgb5"):
        assert to_image_frame(packed, "rgb", True).rgb.amax() <= 1.0
    else:
        first, second = (to_image_frame(each, "bt709", True) for each in (planar, packed))
        assert bool((first.rgb == second.rgb).all())


def test_a_conversion_repeats_to_the_bit() -> None:
    """In several threads FFmpeg gives other chroma at times: some of 5,000 such frames."""
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    color = av.VideoFrame.from_ndarray(noise, format="rgb24")
    planes = {
        tuple(bytes(plane)[: WIDTH * HEIGHT * 2] for plane in frame.planes)
        for frame in (convert_samples(color, format="yuv444p16le") for _ in range(5000))
    }
    assert len(planes) == 1


@pytest.mark.parametrize("layout", ["gbrp10be", "gbrapf32be", "gbrpf32le", "gbrp16be"])
def test_planes_of_either_byte_order_and_floats(layout: str) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    frame = convert_samples(av.VideoFrame.from_ndarray(pixels, format="rgb24"), format=layout)
    rgb = to_image_frame(frame, "rgb", True).rgb[:, 1, 1].tolist()
    assert rgb == pytest.approx([200 / 255, 100 / 255, 50 / 255], abs=4e-3)


def test_a_layout_that_is_not_known_is_named() -> None:
    with pytest.raises(FootageError, match="pixel format rgb8 cannot"):
        to_image_frame(av.VideoFrame(WIDTH, HEIGHT, "rgb8"), "rgb", True)
