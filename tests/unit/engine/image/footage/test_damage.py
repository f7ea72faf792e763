"""No input ends in a traceback: truncated bytes and mutated headers of every format.

A file is read, or refused with a sentence that names it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fakes.footage import flat, rgba_planes, save_exr, save_oiio, save_png, save_video
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.clip import open_clip

NOISE = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
SAVERS: dict[str, Callable[[Path], object]] = {
    "a.png": save_png(NOISE),
    "a.jpg": save_png(NOISE, quality=95),
    "a.tif": save_png(NOISE),
    "lzw.tif": save_png(NOISE, compression="tiff_lzw"),
    "a.exr": save_exr(rgba_planes((0.5, 0.2, 0.1)), chromaticities=(0.64, 0.33, 0.3, 0.6) * 2),
    "a.dpx": lambda path: save_oiio(path, NOISE / 255, "uint16"),
    "a.mp4": lambda path: save_video(path, [NOISE] * 3),
    "a.mov": lambda path: save_video(path, [NOISE] * 3, "prores_ks", "yuv422p10le"),
    "a.mkv": lambda path: save_video(path, [NOISE] * 3, "ffv1", "bgr0"),
    "a.webm": lambda path: save_video(path, [flat(9)] * 3, "libvpx-vp9"),
    "a.avi": lambda path: save_video(path, [NOISE] * 3, "mpeg4"),
    "a.mxf": lambda path: save_video(path, [NOISE] * 3, "mpeg2video", "yuv422p"),
    "a.ts": lambda path: save_video(path, [NOISE] * 3),
    "a.mpg": lambda path: save_video(path, [NOISE] * 3, "mpeg2video"),
    "float.tif": lambda path: save_oiio(path, NOISE / 255, "float"),
    "piz.exr": lambda path: save_oiio(path, NOISE / 255, "half", compression="piz"),
    "tiled.exr": lambda path: save_oiio(path, NOISE / 255, "half", tile_width=32, tile_height=32),
}


ANIMATION = {"save_all": True, "append_images": [Image.fromarray(flat(9, 96, 128))]}
SAVERS["a.gif"] = save_png(NOISE, **ANIMATION)
SAVERS["anim.png"] = save_png(NOISE, **ANIMATION)


@cache
def originals() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        for name, save in SAVERS.items():
            save(Path(folder) / name)
        return {name: (Path(folder) / name).read_bytes() for name in SAVERS}


def read_all(data: bytes, name: str) -> str:
    """Return how reading ended: "" for frames, else the sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        sentence = ""
        try:
            for frame in open_clip(path):
                assert bool(np.isfinite(frame.rgb.numpy()).all())
        except FootageError as error:
            sentence = str(error)
    assert not sentence or name in sentence
    return sentence


@pytest.mark.parametrize("name", SAVERS)
@settings(max_examples=10, deadline=None)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_headers_end_in_frames_or_a_sentence(
    name: str, changes: list[tuple[float, int]]
) -> None:
    changed = bytearray(originals()[name])
    for place, value in changes:
        changed[int(place * min(len(changed) - 1, 600))] = value
    read_all(bytes(changed), name)


@pytest.mark.parametrize("name", SAVERS)
@settings(max_examples=6, deadline=None)
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=8))
def test_flipped_bits_anywhere_end_in_frames_or_a_sentence(
    name: str, flips: list[tuple[float, int]]
) -> None:
    changed = bytearray(originals()[name])
    for place, bit in flips:
        changed[int(place * (len(changed) - 1))] ^= 1 << bit
    read_all(bytes(changed), name)


@pytest.mark.parametrize("name", SAVERS)
@settings(max_examples=8, deadline=None)
@given(keep=st.floats(0.0, 0.9))
def test_truncated_files_end_in_frames_or_a_sentence(name: str, keep: float) -> None:
    data = originals()[name]
    sentence = read_all(data[: int(len(data) * keep)], name)
    if name.rpartition(".")[2] in ("png", "jpg", "tif", "exr", "dpx", "mp4", "mov"):
        assert sentence  # never half a picture


def test_a_jpeg_that_ends_early_is_no_gray_picture() -> None:
    data = originals()["a.jpg"]
    assert "cannot be used as a picture" in read_all(data[: len(data) * 7 // 10], "a.jpg")


def test_a_jpeg_with_more_behind_its_end_is_good() -> None:
    """Phones append films and depth maps."""
    assert read_all(originals()["a.jpg"] + bytes(1000), "a.jpg") == ""
