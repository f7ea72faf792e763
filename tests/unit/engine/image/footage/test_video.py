"""Movies: their frames, rates, rotation, timecode, and damage that is refused."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from fakes.footage import flat, patch_box, save_video
from fakes.sample_stacks import flat_frame, gradient, rgb_frame, write_video
from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.clip import open_clip

SIZE = (32, 24)
STRIP = flat(40)
STRIP[:6] = 220  # a light strip at the top as stored


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


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.int16), layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(FootageError, match="no picture"):
        open_clip(tmp_path / "a.wav")


def test_a_video_that_is_cut_off_is_reported_or_shorter(tmp_path: Path) -> None:
    frames = [
        rgb_frame(gradient(48, 64, shift=k)).reformat(format="bgr0", threads=1) for k in range(12)
    ]
    path = write_video(tmp_path / "a.mkv", frames, codec="ffv1")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(list(open_clip(path))) < 12


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


def test_a_time_stamp_hours_away_is_a_clear_failure(tmp_path: Path) -> None:
    path = save_video(tmp_path / "a.mp4", [flat(9)] * 3, times=[0, 1, 24 * 12000])
    with pytest.raises(FootageError, match=r"a\.mp4 shows 3 frames in 12000 seconds; at 24 fps"):
        open_clip(path)


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
            out.mux(stream.encode(frame.reformat(format="bgr0", threads=1)))
        for stream in streams:
            out.mux(stream.encode())
    clip = open_clip(tmp_path / "a.mkv")
    assert float(next(iter(clip)).rgb[0, 0, 0]) == pytest.approx(100 / 255)
    assert clip.notes == ("a.mkv holds 2 video tracks; number 2 is read.",)
