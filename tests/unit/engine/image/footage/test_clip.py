"""Sequences and movies are found by folder, file or pattern."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fakes.sample_stacks import gradient
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.clip import open_clip


def images(folder: Path, numbers: list[int], stem: str = "shot.", depth: int = 8) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        codes = (gradient(9, 12, shift=number) * 255).round().to(torch.uint8)
        pixels = codes.movedim(0, -1).numpy()
        picture = Image.fromarray(pixels if depth == 8 else pixels[..., 0].astype(np.uint16) * 257)
        picture.save(folder / f"{stem}{number:04d}.png")


@pytest.mark.parametrize("pattern", ["", "shot.####.png", "shot.%04d.png", "shot.%d.png"])
def test_image_sequences_are_found_by_folder_or_pattern(tmp_path: Path, pattern: str) -> None:
    images(tmp_path / "s", [99, 100, 101])
    (tmp_path / "s" / ".DS_Store.png").write_bytes(b"")
    clip = open_clip(tmp_path / "s" / pattern)
    pictures = [frame.rgb for frame in clip]
    assert (clip.info.frames, clip.info.fps, clip.info.assumed) == (3, None, ())
    for number, result in zip((99, 100, 101), pictures, strict=True):
        torch.testing.assert_close(result, gradient(9, 12, shift=number), atol=0.003, rtol=0)


def test_one_image_is_a_sequence_of_one(tmp_path: Path) -> None:
    images(tmp_path, [7])
    assert open_clip(tmp_path / "shot.0007.png").info.frames == 1


def test_sixteen_bit_grey_images_keep_their_depth(tmp_path: Path) -> None:
    values = np.arange(9 * 12, dtype=np.uint16).reshape(9, 12)
    Image.fromarray(values).save(tmp_path / "a.0001.png")
    frame = next(iter(open_clip(tmp_path / "a.0001.png")))
    assert torch.equal((frame.rgb[1] * 65535).round(), torch.from_numpy(values.astype(np.float32)))


def test_alpha_of_images_is_straight(tmp_path: Path) -> None:
    """OIIO premultiplies on reading unless it is told not to."""
    codes = np.zeros((4, 4, 4), np.uint8)
    codes[..., 0], codes[..., 3] = 200, 51
    Image.fromarray(codes).save(tmp_path / "a.0001.png")
    frame = next(iter(open_clip(tmp_path)))
    assert frame.alpha is not None
    assert float(frame.rgb[0, 0, 0]) == pytest.approx(200 / 255)
    assert float(frame.alpha[0, 0]) == pytest.approx(0.2)


def test_a_gap_in_a_sequence_is_named(tmp_path: Path) -> None:
    images(tmp_path / "s", [1, 2, 5])
    with pytest.raises(FootageError, match="frame is missing between shot"):
        open_clip(tmp_path / "s")


def test_two_sequences_in_a_folder_are_not_mixed(tmp_path: Path) -> None:
    images(tmp_path / "s", [1, 2])
    images(tmp_path / "s", [1, 2], stem="other.")
    with pytest.raises(FootageError, match="not frames of one sequence"):
        open_clip(tmp_path / "s")
    assert open_clip(tmp_path / "s" / "other.####.png").info.frames == 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.mp4", None, "FOOTAGE_NOT_FOUND"),
        ("shot.####.png", None, "FOOTAGE_NOT_FOUND"),
        ("text.mp4", b"not a video", "FOOTAGE_UNREADABLE"),
        ("a.0001.png", b"not a picture", "PICTURE_UNREADABLE"),
        ("a.exr", b"", "PICTURE_UNREADABLE"),
    ],
)
def test_what_cannot_be_read_is_reported(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FootageError) as caught:
        open_clip(tmp_path / name)
    assert caught.value.reason == reason


def test_a_folder_of_other_images_says_which_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.0001.tga").write_bytes(b"tga")
    with pytest.raises(FootageError, match="no video or image sequence") as caught:
        open_clip(tmp_path)
    assert ".exr" in str(caught.value.hint)
