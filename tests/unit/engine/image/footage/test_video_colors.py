"""Codes of video become color as its tags, or the request, say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.footage import save_video, soft_disc
from fakes.sample_stacks import flat_frame, gradient, rgb_frame, write_video
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.yuv import decode_yuv, to_image_frame

SIZE = (32, 24)
# FFmpeg's numbers.
BT709, BT601, BT2020, LIMITED, FULL = 1, 6, 9, 1, 2
# Codes that the standards themselves give for white, black and full red.
KNOWN = [
    ("yuv444p", BT709, LIMITED, (235, 128, 128), (1, 1, 1)),
    ("yuv444p", BT709, LIMITED, (16, 128, 128), (0, 0, 0)),
    ("yuv444p", BT709, LIMITED, (63, 102, 240), (1, 0, 0)),
    ("yuv420p", BT709, LIMITED, (173, 42, 26), (0, 1, 0)),
    ("yuv420p", BT601, LIMITED, (81, 90, 240), (1, 0, 0)),
    ("yuv422p", BT601, LIMITED, (145, 54, 34), (0, 1, 0)),
    ("yuv444p", BT709, FULL, (255, 128, 128), (1, 1, 1)),
    ("yuv444p", BT601, FULL, (76, 85, 255), (1, 0, 0)),
    ("yuv422p10le", BT709, LIMITED, (940, 512, 512), (1, 1, 1)),
    ("yuv422p10le", BT709, LIMITED, (250, 409, 960), (1, 0, 0)),
    ("yuv420p10le", BT2020, LIMITED, (294, 387, 960), (1, 0, 0)),
    ("gray", BT709, FULL, (128,), (128 / 255,) * 3),
    ("gray10le", BT709, FULL, (512,), (512 / 1023,) * 3),
]


@pytest.mark.parametrize(("layout", "matrix", "range_", "codes", "expected"), KNOWN)
def test_codes_become_color_as_the_tags_say(
    tmp_path: Path,
    layout: str,
    matrix: int,
    range_: int,
    codes: tuple[int, ...],
    expected: tuple[float, float, float],
) -> None:
    frame = flat_frame(codes, layout, SIZE)
    path = write_video(
        tmp_path / "a.mkv", [frame], codec="ffv1", colorspace=matrix, color_range=range_
    )
    clip = open_clip(path)
    rgb = next(iter(clip)).rgb
    assert clip.info.assumed == ()
    assert rgb.shape == (3, SIZE[1], SIZE[0])
    torch.testing.assert_close(rgb[:, 5, 6], torch.tensor(expected).float(), atol=0.006, rtol=0)


def test_untagged_video_is_taken_as_players_take_it_and_that_is_reported(tmp_path: Path) -> None:
    for size, matrix in (
        ((64, 48), "bt601"),
        ((720, 576), "bt601"),
        ((1280, 536), "bt709"),
        ((1280, 720), "bt709"),
        ((960, 720), "bt709"),
    ):
        frame = flat_frame((81, 90, 240), "yuv420p", size)
        clip = open_clip(write_video(tmp_path / "a.mkv", [frame], codec="ffv1"))
        assert (clip.info.matrix, clip.info.full_range) == (matrix, False)
        assert clip.info.assumed == (f"{matrix} matrix", "limited range")


def test_what_the_caller_says_goes_before_what_the_file_says(tmp_path: Path) -> None:
    frame = flat_frame((81, 90, 240), "yuv444p", SIZE)
    path = write_video(tmp_path / "a.mkv", [frame], codec="ffv1", colorspace=BT709, color_range=2)
    clip = open_clip(path, matrix="bt601", full_range=False)
    rgb = next(iter(clip)).rgb[:, 0, 0]
    assert clip.info.assumed == ()
    torch.testing.assert_close(rgb, torch.tensor([1.0, 0.0, 0.0]), atol=0.006, rtol=0)


def test_ten_bits_stay_ten_bits(tmp_path: Path) -> None:
    frames = [flat_frame((code, 512, 512), "yuv422p10le", SIZE) for code in (500, 501)]
    low, high = (
        frame.rgb for frame in open_clip(write_video(tmp_path / "a.mkv", frames, codec="ffv1"))
    )
    assert float(high[1, 0, 0] - low[1, 0, 0]) == pytest.approx(1 / 876, rel=1e-3)


def test_chroma_sits_on_the_left_pixel_of_its_pair() -> None:
    luma = torch.full((4, 8), 128.0)
    ramp = torch.tensor([[100.0, 110.0, 120.0, 130.0]]).expand(2, -1)
    red = decode_yuv([luma, torch.full((2, 4), 128.0), ramp], 8, "bt709", True)[0, 1] * 255
    at_samples = 128 + 1.5748 * (ramp[0] - 128)
    torch.testing.assert_close(red[0::2], at_samples, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        red[1:7:2], (at_samples[1:] + at_samples[:-1]) / 2, atol=1e-3, rtol=0
    )


def test_odd_sizes_with_small_chroma() -> None:
    planes = [torch.full((5, 7), 235.0), torch.full((3, 4), 128.0), torch.full((3, 4), 128.0)]
    assert torch.equal(decode_yuv(planes, 8, "bt709", False), torch.ones(3, 5, 7))


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("full_range", [False, True])
def test_black_and_white_are_exact(bits: int, full_range: bool) -> None:
    step = 2 ** (bits - 8)
    ends = [0, 2**bits - 1] if full_range else [16 * step, 235 * step]
    neutral = torch.full((1, 1), 128 * step, dtype=torch.int32)
    luma = torch.tensor([ends], dtype=torch.int32)
    rgb = decode_yuv([luma, neutral, neutral], bits, "bt709", full_range)
    assert torch.equal(rgb, torch.tensor([0.0, 1.0]).expand(3, 1, 2))


def test_bands_of_rows_leave_no_seams() -> None:
    """Chroma between two rows of 4:2:0, also where a band of the conversion ends."""
    rows = torch.arange(301.0)
    ramp = torch.arange(151.0)[:, None].expand(-1, 2) + 50
    neutral = torch.full((151, 2), 128.0)
    red = decode_yuv([torch.full((301, 4), 20.0), neutral, ramp], 8, "bt709", True)[0, :, 0]
    code = (50 + (rows + 0.5) / 2 - 0.5).clamp(50, 200)
    expected = ((20 + 1.5748 * (code - 128)) / 255).clamp(0, 1)
    torch.testing.assert_close(red, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("profile", "layout", "has_alpha"),
    [("4444", "yuva444p10le", True), ("3", "yuv422p10le", False)],
)
def test_prores_whose_pictures_are_untagged_in_a_tagged_file(
    tmp_path: Path, profile: str, layout: str, has_alpha: bool
) -> None:
    codes = (250, 409, 960, 512) if has_alpha else (250, 409, 960)
    frames = [flat_frame(codes, layout, SIZE) for _ in range(2)]
    path = write_video(
        tmp_path / "a.mov",
        frames,
        codec="prores_ks",
        options={"profile": profile},
        colorspace=BT709,
        color_primaries=BT709,
        color_trc=BT709,
    )
    clip = open_clip(path)
    picture = next(iter(clip))
    assert (clip.info.frames, clip.info.matrix) == (2, "bt709")
    expected = torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(picture.rgb[:, 9, 9], expected, atol=0.01, rtol=0)
    assert (picture.alpha is not None) == has_alpha
    if picture.alpha is not None:
        assert float(picture.alpha[9, 9]) == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("png", "mov"), ("libx264rgb", "mp4"), ("ffv1", "mkv")]
)
def test_rgb_video_keeps_its_codes(tmp_path: Path, codec: str, suffix: str) -> None:
    """FFmpeg widens 8 bits to 16 by shifting: white would come out as 0.996."""
    frame = rgb_frame(gradient(SIZE[1], SIZE[0]))
    if codec == "ffv1":
        frame = frame.reformat(format="bgr0", threads=1)
    options = {"qp": "0"} if codec == "libx264rgb" else {}
    path = write_video(tmp_path / f"a.{suffix}", [frame], codec=codec, options=options)
    clip = open_clip(path)
    result = (next(iter(clip)).rgb * 255).round()
    assert clip.info.full_range
    assert torch.equal(result, (gradient(SIZE[1], SIZE[0]) * 255).round())


@pytest.mark.parametrize(("layout", "planar"), [("nv12", "yuv420p"), ("uyvy422", "yuv422p")])
def test_interleaved_layouts_hold_the_same_samples(layout: str, planar: str) -> None:
    frame = flat_frame((173, 42, 26), planar, SIZE).reformat(format=layout, threads=1)
    rgb = to_image_frame(frame, "bt709", False).rgb[:, 4, 4]
    torch.testing.assert_close(rgb, torch.tensor([0.0, 1.0, 0.0]), atol=0.006, rtol=0)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_and_not_guessed(tmp_path: Path, transfer: int, name: str) -> None:
    frame = flat_frame((512, 512, 512), "yuv420p10le", SIZE)
    path = write_video(tmp_path / "a.mkv", [frame], codec="ffv1", color_trc=transfer)
    with pytest.raises(FootageError, match=name):
        open_clip(path)


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "gray16le"])
def test_untagged_gray_is_full_range(tmp_path: Path, pixel_format: str) -> None:
    """FFmpeg writes gray so, and players read it so."""
    matte = np.round(soft_disc(20.0) * 255).astype(np.uint8)
    frame, kind = matte, "gray"
    if pixel_format != "gray":
        bits = int(pixel_format[4:6])
        frame, kind = np.round(matte / 255 * (2**bits - 1)).astype(np.uint16), pixel_format
    path = save_video(tmp_path / "m.mkv", [frame], "ffv1", pixel_format, frame_format=kind)
    clip = open_clip(path)
    assert clip.info.assumed == ()
    assert np.abs(next(iter(clip)).rgb[0].numpy() - matte / 255).max() < 0.002


@pytest.mark.parametrize(
    ("number", "label"), [(4, "FCC"), (8, "YCgCo"), (10, "constant"), (14, "ICtCp")]
)
def test_a_matrix_that_is_not_followed_is_refused_unless_one_is_asked_for(
    tmp_path: Path, number: int, label: str
) -> None:
    frame = flat_frame((235, 128, 128), "yuv444p", SIZE)
    path = write_video(tmp_path / "a.mkv", [frame], codec="ffv1", colorspace=number)
    with pytest.raises(FootageError, match=label) as caught:
        open_clip(path)
    assert caught.value.reason == "FOOTAGE_MATRIX"
    assert open_clip(path, matrix="bt709").info.matrix == "bt709"


@pytest.mark.parametrize("layout", ["yuv410p", "yuv411p", "yuv440p", "yuvj422p"])
def test_white_is_white_in_every_sampling(tmp_path: Path, layout: str) -> None:
    code = 255 if layout == "yuvj422p" else 235
    frame = flat_frame((code, 128, 128), layout, SIZE)
    codec = "mjpeg" if layout == "yuvj422p" else "ffv1"
    path = write_video(
        tmp_path / "a.mov" if codec == "mjpeg" else tmp_path / "a.mkv", [frame], codec=codec
    )
    assert float((next(iter(open_clip(path))).rgb - 1.0).abs().max()) < 2e-3
