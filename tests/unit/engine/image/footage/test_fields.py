from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from fakes.sample_stacks import write_video
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.fields import FILTER

SIZE, FRAMES = (64, 48), 6


def save_fields(path: Path, layout: str = "yuv422p10le", *, is_tagged: bool = True) -> Path:
    """Write a white bar that moves between the two fields of each frame."""
    frames = []
    for index in range(FRAMES):
        pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        for field in (0, 1):
            left = 4 * (2 * index + field)
            pixels[field::2, left : left + 8] = 255
        frames.append(
            av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=layout, threads=1)
        )
    options = {"profile": "3", **({"flags": "+ildct"} if is_tagged else {})}
    return write_video(path, frames, codec="prores_ks", options=options)


def comb(rgb: torch.Tensor) -> float:
    """Return how much each odd line differs from the even ones around it."""
    return float((rgb[:, 1:-1:2] - (rgb[:, 0:-2:2] + rgb[:, 2::2]) / 2).abs().mean())


def test_fields_stay_woven_unless_asked(tmp_path: Path) -> None:
    clip = open_clip(save_fields(tmp_path / "a.mov"))
    assert all(comb(frame.rgb) > 0.05 for frame in clip)
    assert clip.notes[0] == "a.mov is interlaced; its two fields stay woven into each frame."


def test_the_stated_filter_makes_whole_frames(tmp_path: Path) -> None:
    path = save_fields(tmp_path / "a.mov")
    woven = list(open_clip(path))
    clip = open_clip(path, deinterlace=True)
    whole = list(clip)
    assert len(whole) == clip.info.frames == FRAMES
    assert all(comb(frame.rgb) < 0.01 for frame in whole)
    kept = [
        all(torch.equal(a.rgb[:, k::2], b.rgb[:, k::2]) for a, b in zip(woven, whole, strict=True))
        for k in (0, 1)
    ]
    assert sum(kept) == 1  # one field stays to the bit, the other is interpolated
    assert f"a.mov is interlaced; it is deinterlaced with FFmpeg's {FILTER}" in clip.notes[0]


def test_a_clip_that_does_not_say_so_is_deinterlaced_as_asked(tmp_path: Path) -> None:
    clip = open_clip(save_fields(tmp_path / "a.mov", is_tagged=False), deinterlace=True)
    assert "does not say that it is interlaced" in clip.notes[0]
    assert all(comb(frame.rgb) < 0.01 for frame in clip)


def test_layouts_that_the_filter_would_convert_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    path = write_video(tmp_path / "a.mov", [frame], codec="qtrle")
    with pytest.raises(FootageError, match="cannot be deinterlaced"):
        open_clip(path, deinterlace=True)
