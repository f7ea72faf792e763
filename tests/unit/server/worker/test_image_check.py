"""Uploaded images: decoded in a child process, and refused with a reason."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import psutil
import pytest
from PIL import Image

from fakes import malformed_images
from layert2v_server.errors import ImageRefused
from layert2v_server.worker import image_check, image_decode
from layert2v_server.worker.image_check import check_images, check_source


def never() -> bool:
    return False


def test_valid_images_pass(tmp_path: Path) -> None:
    paths = [malformed_images.valid(tmp_path / f"plate.{k:04d}.exr") for k in range(3)]
    seen: list[tuple[int, int]] = []
    check_images(paths, never, lambda progress: seen.append((progress.done, progress.total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    check_images([], never)


def source(folder: Path, listed: dict[str, bool]) -> Path:
    (folder / "brought.json").write_text(json.dumps(listed))
    return folder


def test_no_suffix_exempts_what_is_opened_as_an_image(tmp_path: Path) -> None:
    for name in ("plate.0001.safetensors", "plate.0002.mp4", "plate.0003.exr"):
        path = malformed_images.truncate(tmp_path / "inputs" / "mine" / name)
        with pytest.raises(ImageRefused, match="its pixels cannot be read"):
            check_source(
                source(tmp_path, {str(path.relative_to(tmp_path)): True}), lambda _: None, never
            )


def test_what_is_not_decoded_is_reported(tmp_path: Path) -> None:
    plate = malformed_images.valid(tmp_path / "stack" / "bg.exr")
    (tmp_path / "stack" / "again.exr").hardlink_to(plate)
    latents = tmp_path / "stack" / "bg.safetensors"
    latents.write_bytes(b"numbers")
    listed = {"stack/bg.exr": True, "stack/again.exr": False, "stack/bg.safetensors": False}
    unchecked = check_source(source(tmp_path, listed), lambda _: None, never)
    assert unchecked == {hashlib.sha256(b"numbers").hexdigest()}


def test_plates_must_fit_into_memory_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {}
    for k in range(3):
        malformed_images.valid(tmp_path / "inputs" / "mine" / f"{k}.exr")
        listed[f"inputs/mine/{k}.exr"] = True
    total = psutil.virtual_memory().total
    frame = 4 * 4 * 8 * 6
    monkeypatch.setattr(image_check, "PLATES_SHARE_OF_MEMORY", (3 * frame + 1) / total)
    check_source(source(tmp_path, listed), lambda _: None, never)
    monkeypatch.setattr(image_check, "PLATES_SHARE_OF_MEMORY", 2 * frame / total)
    with pytest.raises(ImageRefused, match=r"2\.exr cannot be used: all pictures together"):
        check_source(source(tmp_path, listed), lambda _: None, never)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (malformed_images.deep, "it is a deep picture"),
        (malformed_images.truncate, "its pixels cannot be read"),
        (malformed_images.not_an_image, "it is no picture"),
        (malformed_images.with_unreadable_name, "it is no picture"),
        (
            lambda path: malformed_images.with_header_size(path, 60_000, 60_000),
            "more pixels than may be read",
        ),
        (
            lambda path: malformed_images.with_header_size(path, 2_000_000, 9),
            "more pixels than may be read",
        ),
        (
            lambda path: malformed_images.with_header_size(path, 8, 4000),
            "its pixels cannot be read",
        ),
        (lambda path: malformed_images.with_channels(path, 300), "300 channels are too many"),
    ],
)
def test_the_first_refused_image_is_named(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    good, bad = malformed_images.valid(tmp_path / "a.exr"), make(tmp_path / "b.exr")
    with pytest.raises(ImageRefused) as caught:
        check_images([good, bad, good], never)
    assert "The picture b.exr cannot be used" in caught.value.message
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_PIXELS", 47, "8 x 6 pixels are too many"),
        ("MAX_FRAME_BYTES", 8 * 6 * 4 * 2 - 1, "8 x 6 pixels of 4 channels are too much"),
    ],
)
def test_size_is_checked_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    path = str(malformed_images.valid(tmp_path / "plate.exr"))
    monkeypatch.setattr(image_decode, limit, value + 1)
    assert image_decode.find_problem(path)[0] == ""
    monkeypatch.setattr(image_decode, limit, value)
    assert image_decode.find_problem(path)[0] == words


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.m2ts", "a.wmv"])
def test_animations_and_camera_streams_are_decoded_as_movies(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    codecs = {"a.m2ts": ("mpeg2video", {"mpegts_m2ts_mode": "1"}), "a.wmv": ("wmv2", {})}
    if name in codecs:
        codec, options = codecs[name]
        container = {"a.m2ts": "mpegts", "a.wmv": "asf"}[name]
        with av.open(str(path), "w", format=container, options=options) as out:
            stream = out.add_stream(codec, rate=24)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(2):
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = number
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    else:
        pictures = [Image.new("RGB", (64, 48), (k, 0, 0)) for k in (0, 99)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    size = 64 * 48 * 2
    assert image_decode.find_movie_problem(str(path), size) == ("", size)
    check_images([path], never, movies=[] if name == "a.png" else [path])
    if name == "a.png":  # of which a request reads all frames
        cut = tmp_path / "cut.png"
        cut.write_bytes(path.read_bytes()[:-60])
        problem, pixels = image_decode.find_movie_problem(str(cut), size)
        assert problem or pixels < size


def test_a_list_of_other_files_is_no_movie(tmp_path: Path) -> None:
    for text in ("#EXTM3U\nfile:///etc/passwd\n", "ffconcat version 1.0\nfile b.mp4\n"):
        (tmp_path / "a.mp4").write_text(text)
        problem, _ = image_decode.find_movie_problem(str(tmp_path / "a.mp4"), 10**6)
        assert problem == "it is no movie that can be read"


def test_memory_and_time_are_limited() -> None:
    program = (
        "from layert2v_server.worker import image_decode as d; import resource as r;"
        "d._limit_resources(7);"
        "print(*r.getrlimit(r.RLIMIT_CPU), *r.getrlimit(r.RLIMIT_AS));"
        "bytes(d.MAX_MEMORY_BYTES)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["7", "7", str(4 << 30), str(4 << 30)]
    assert "MemoryError" in done.stderr


def test_a_crash_of_the_child_refuses_the_current_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in front of the package stands for a decoder that crashes."""
    package = tmp_path / "OpenImageIO"
    package.mkdir()
    (package / "__init__.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(ImageRefused, match=r"plate\.exr cannot be used: it takes too much time"):
        check_images([malformed_images.valid(tmp_path / "plate.exr")], never)


def test_a_cancelled_job_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "OpenImageIO"
    package.mkdir()
    (package / "__init__.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    began = time.monotonic()
    check_images([tmp_path / "plate.exr"], lambda: True)
    assert time.monotonic() - began < 30
