from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from PIL import Image

from fakes.footage import flat, patch_box, save_video, soft_disc
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
        frame = frame.reformat(format="bgr0")
    options = {"qp": "0"} if codec == "libx264rgb" else {}
    path = write_video(tmp_path / f"a.{suffix}", [frame], codec=codec, options=options)
    clip = open_clip(path)
    result = (next(iter(clip)).rgb * 255).round()
    assert clip.info.full_range
    assert torch.equal(result, (gradient(SIZE[1], SIZE[0]) * 255).round())


@pytest.mark.parametrize(("layout", "planar"), [("nv12", "yuv420p"), ("uyvy422", "yuv422p")])
def test_interleaved_layouts_hold_the_same_samples(layout: str, planar: str) -> None:
    frame = flat_frame((173, 42, 26), planar, SIZE).reformat(format=layout)
    rgb = to_image_frame(frame, "bt709", False).rgb[:, 4, 4]
    torch.testing.assert_close(rgb, torch.tensor([0.0, 1.0, 0.0]), atol=0.006, rtol=0)


def test_rate_and_pixel_aspect_come_from_the_file(tmp_path: Path) -> None:
    frame = flat_frame((16, 128, 128), "yuv420p", SIZE)
    path = write_video(
        tmp_path / "a.mp4",
        [frame] * 3,
        codec="libx264",
        fps=12,
        sample_aspect_ratio=Fraction(16, 15),
    )
    info = open_clip(path).info
    assert (info.fps, info.frames, info.width, info.height) == (12.0, 3, *SIZE)
    assert info.pixel_aspect == pytest.approx(16 / 15)


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


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.int16), layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(FootageError, match="no picture"):
        open_clip(tmp_path / "a.wav")


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_and_not_guessed(tmp_path: Path, transfer: int, name: str) -> None:
    frame = flat_frame((512, 512, 512), "yuv420p10le", SIZE)
    path = write_video(tmp_path / "a.mkv", [frame], codec="ffv1", color_trc=transfer)
    with pytest.raises(FootageError, match=name):
        open_clip(path)


def test_a_video_that_is_cut_off_is_reported_or_shorter(tmp_path: Path) -> None:
    frames = [rgb_frame(gradient(48, 64, shift=k)).reformat(format="bgr0") for k in range(12)]
    path = write_video(tmp_path / "a.mkv", frames, codec="ffv1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(list(open_clip(path))) < 12


STRIP = flat(40)
STRIP[:6] = 220  # a light strip at the top as stored


@pytest.mark.parametrize(
    ("matrix", "side"),
    [
        ((0, 1, -1, 0), "right"),
        ((0, -1, 1, 0), "left"),
        ((-1, 0, 0, -1), "bottom"),
        ((1, 0, 0, -1), "bottom"),
        ((-1, 0, 0, 1), "top"),
        ((1, 0, 0, 1), "top"),
    ],
)
def test_a_display_matrix_turns_the_picture(
    tmp_path: Path, matrix: tuple[int, int, int, int], side: str
) -> None:
    """A point x, y of the file is shown at a x + c y, b x + d y (ISO 14496-12)."""
    a, b, c, d = (value << 16 for value in matrix)
    path = save_video(tmp_path / "a.mp4", [STRIP] * 2, tags={"color_range": 1, "colorspace": 1})
    patch_box(path, b"tkhd", 40, ">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip = open_clip(path)
    rgb = next(iter(clip)).rgb[0]
    assert (clip.info.height, clip.info.width) == tuple(rgb.shape)
    assert tuple(rgb.shape) == ((32, 24) if side in ("left", "right") else (24, 32))
    edges = {"top": rgb[2], "bottom": rgb[-3], "left": rgb[:, 2], "right": rgb[:, -3]}
    assert max(edges, key=lambda edge: float(edges[edge].mean())) == side


def test_a_picture_at_an_angle_is_refused(tmp_path: Path) -> None:
    path = save_video(tmp_path / "a.mp4", [STRIP])
    patch_box(path, b"tkhd", 40, ">9i", 50000, 40000, 0, -40000, 50000, 0, 0, 0, 1 << 30)
    with pytest.raises(FootageError, match="no quarter turn"):
        open_clip(path)


@pytest.mark.parametrize(("suffix", "b_frames"), [("mp4", "0"), ("mp4", "2"), ("mov", "2")])
def test_what_an_edit_list_hides_is_no_frame(tmp_path: Path, suffix: str, b_frames: str) -> None:
    frames = [flat(value) for value in range(20, 220, 5)]
    options = {"crf": "1", "g": "20", "bf": b_frames}
    path = save_video(tmp_path / f"a.{suffix}", frames, options=options)
    data = path.read_bytes()
    (scale,) = struct.unpack(">I", data[data.find(b"mdhd") + 16 :][:4])
    (start,) = struct.unpack(">i", data[data.find(b"elst") + 16 :][:4])
    patch_box(path, b"elst", 8, ">Ii", 1000, start + round(scale * 10 / 24))  # 10 frames in
    clip = open_clip(path)
    values = [float(frame.rgb.mean()) for frame in clip]
    assert clip.info.frames == len(values)
    assert values[0] * 255 == pytest.approx(20 + 5 * 10, abs=3)


def test_a_phone_s_movie_is_turned_trimmed_and_keeps_its_timecode(tmp_path: Path) -> None:
    """All three at once: display matrix, edit list and a track of timecode."""
    frames = [np.clip(STRIP.astype(int) + 4 * k, 0, 255).astype(np.uint8) for k in range(20)]
    said = {"timecode": "01:02:03:04"}
    options = {"crf": "1", "g": "5", "bf": "0"}
    path = save_video(tmp_path / "a.mov", frames, options=options, metadata=said)
    data = path.read_bytes()
    (scale,) = struct.unpack(">I", data[data.find(b"mdhd") + 16 :][:4])
    patch_box(path, b"elst", 8, ">Ii", 500, round(scale * 8 / 24))
    patch_box(path, b"tkhd", 40, ">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    clip = open_clip(path)
    rgb = next(iter(clip)).rgb
    assert tuple(rgb.shape) == (3, 32, 24) == (3, clip.info.height, clip.info.width)
    assert float(rgb.min()) * 255 == pytest.approx(int(STRIP.min()) + 4 * 8, abs=4)
    assert clip.info.frames == 12
    assert clip.info.timecode == "01:02:03:04"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_variable_rates_are_resampled_to_a_stated_one(tmp_path: Path, suffix: str) -> None:
    values = (20, 60, 100, 140, 180, 220)
    path = save_video(
        tmp_path / f"a.{suffix}", [flat(value) for value in values], times=[0, 1, 2, 10, 11, 12]
    )
    clip = open_clip(path)
    seen = [round(float(frame.rgb.mean()) * 255) for frame in clip]
    expected = [20, 60, *[100] * 8, 140, 180, 220]
    assert (clip.info.fps, clip.info.frames) == (24.0, 13)
    assert np.abs(np.array(seen) - expected).max() <= 2
    assert "variable frame rate; it is resampled to 24 fps, 6 frames to 13" in clip.notes[0]
    assert open_clip(path, fps=12).info.frames == 6


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg"])
def test_constant_rates_of_every_container_stay(tmp_path: Path, container: str) -> None:
    codecs = {"webm": "libvpx-vp9", "avi": "mpeg4", "mpg": "mpeg2video"}
    path = save_video(
        tmp_path / f"a.{container}",
        [flat(20 + 3 * index) for index in range(60)],
        codecs.get(container, "libx264"),
        fps=Fraction(30000, 1001),
        options={},
    )
    clip = open_clip(path)
    assert clip.info.fps == pytest.approx(29.97, abs=0.01)
    assert clip.info.frames == sum(1 for _ in clip) == 60
    assert not any("variable" in note for note in clip.notes)


def test_interlaced_video_is_noted(tmp_path: Path) -> None:
    options = {"flags": "+ildct+ilme", "q": "2"}
    path = save_video(
        tmp_path / "i.mpg", [flat(90, 576, 720)] * 3, "mpeg2video", fps=25, options=options
    )
    assert "i.mpg is interlaced" in " ".join(open_clip(path).notes)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    """A tagger writes the cover before the track, so that it is the first stream."""
    Image.fromarray(flat(200, 8, 8)).save(tmp_path / "cover.jpg")

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", 8 + len(body)) + kind + body

    path = save_video(tmp_path / "a.mp4", [STRIP] * 3)
    data, jpeg = path.read_bytes(), (tmp_path / "cover.jpg").read_bytes()
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + jpeg))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    extra = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", cover)))
    at = data.find(b"moov") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    moov = data[at + 8 : at + size]
    (head,) = struct.unpack(">I", moov[:4])
    path.write_bytes(data[:at] + box(b"moov", moov[:head] + extra + moov[head:]))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"
    info = open_clip(path).info
    assert (info.width, info.height, info.frames) == (32, 24, 3)


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
    ("suffix", "codec", "layout"),
    [
        ("mov", "prores_ks", "yuv422p10le"),
        ("mov", "libx264", "yuv420p"),
        ("mp4", "libx264", "yuv420p"),
    ],
)
def test_timecode_of_a_movie_is_read(tmp_path: Path, suffix: str, codec: str, layout: str) -> None:
    said = {"timecode": "01:02:03:04"}
    path = save_video(tmp_path / f"a.{suffix}", [STRIP] * 2, codec, layout, metadata=said)
    assert open_clip(path).info.timecode == "01:02:03:04"
    assert open_clip(save_video(tmp_path / "b.mp4", [STRIP])).info.timecode == ""


def test_a_size_that_changes_within_a_file_is_refused(tmp_path: Path) -> None:
    """MPEG-TS may be joined byte by byte."""
    parts = []
    for index, size in enumerate(((24, 32), (48, 64))):
        part = save_video(tmp_path / f"{index}.ts", [flat(90, *size)] * 5)
        parts.append(part.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    with pytest.raises(FootageError, match=r"a\.ts"):
        list(open_clip(tmp_path / "a.ts"))


@pytest.mark.parametrize("keep", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("flags", ["faststart", ""])
def test_a_truncated_movie_is_refused(tmp_path: Path, keep: float, flags: str) -> None:
    noise = np.random.default_rng(1)
    frames = [noise.integers(0, 255, (96, 128, 3)).astype(np.uint8) for _ in range(8)]
    options = {"movflags": flags} if flags else {}
    path = save_video(tmp_path / "a.mov", frames, container_options=options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(FootageError, match=r"a\.mov cannot be read"):
        list(open_clip(path))


def test_a_movie_cut_between_two_frames_is_refused(tmp_path: Path) -> None:
    """No packet is damaged then: only the index knows of more."""
    frames = [flat(value) for value in range(10, 170, 20)]
    path = save_video(tmp_path / "a.mov", frames, container_options={"movflags": "faststart"})
    with av.open(str(path)) as container:
        positions = sorted(entry.pos for entry in container.streams.video[0].index_entries)
    path.write_bytes(path.read_bytes()[: positions[4]])
    with pytest.raises(FootageError, match="before its own index"):
        open_clip(path)


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


def test_a_folder_of_other_images_says_which_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.0001.tga").write_bytes(b"tga")
    with pytest.raises(FootageError, match="no video or image sequence") as caught:
        open_clip(tmp_path)
    assert ".exr" in str(caught.value.hint)


def test_gif_is_straight_and_its_held_frames_count(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3] = (200, 100, 50, 255)
    frames = [Image.fromarray(pixels), Image.fromarray(pixels[:, ::-1].copy())]
    options = {"save_all": True, "append_images": frames[1:], "disposal": 2}
    frames[0].save(tmp_path / "a.gif", duration=[40, 120], **options)
    clip = open_clip(tmp_path / "a.gif")
    alphas = [frame.alpha for frame in clip]
    assert all(alpha is not None for alpha in alphas)
    assert [float(alpha[0, 0]) for alpha in alphas if alpha is not None] == [1.0, 0.0, 0.0, 0.0]
    assert clip.info.alpha == "straight"
    assert "2 frames to 4" in clip.notes[0]


def test_of_several_tracks_the_one_that_players_show_is_read(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        streams = [out.add_stream("ffv1", rate=24) for _ in range(2)]
        streams[1].disposition = Disposition.default
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 8, 4, "bgr0"
        for number, stream in enumerate(streams):
            frame = av.VideoFrame.from_ndarray(flat(100 * number, 4, 8), format="rgb24")
            out.mux(stream.encode(frame.reformat(format="bgr0")))
        for stream in streams:
            out.mux(stream.encode())
    clip = open_clip(tmp_path / "a.mkv")
    assert float(next(iter(clip)).rgb[0, 0, 0]) == pytest.approx(100 / 255)
    assert clip.notes == ("a.mkv holds 2 video tracks; number 2 is read.",)
