"""Uploaded images: decoded in a child process, and refused with a reason."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import malformed_images
from layert2v_server.errors import ImageRefused
from layert2v_server.worker import image_decode
from layert2v_server.worker.image_check import check_images


def never() -> bool:
    return False


def test_valid_images_pass(tmp_path: Path) -> None:
    paths = [malformed_images.valid(tmp_path / f"plate.{k:04d}.exr") for k in range(3)]
    latents = tmp_path / "bg_v001.safetensors"
    latents.write_bytes(b"no picture, and nothing that is decoded here")
    check_images([*paths, latents], never)
    check_images([], never)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (malformed_images.deep, "it is a deep picture"),
        (malformed_images.truncated, "its pixels cannot be read"),
        (malformed_images.not_an_image, "it is no picture"),
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
    assert image_decode.find_problem(path) == ""
    monkeypatch.setattr(image_decode, limit, value)
    assert image_decode.find_problem(path) == words


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
