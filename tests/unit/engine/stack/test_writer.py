"""A stack is there as a whole or not at all."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fakes.sample_stacks import HEIGHT, WIDTH, fill, gradient, write_stack, writer
from layert2v_engine.errors import Cancelled, DiskFull, StackError


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here: it takes root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def make(folder: Path, progress: Callable[[int, int], None] | None = None, **options: int) -> None:
    with writer(folder, **options) as stack_writer:
        fill(stack_writer)
        stack_writer.finish(progress=progress)


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with writer(tmp_path / "s") as stack_writer:
        fill(stack_writer)
        stack_writer.latents_path("bg").parent.mkdir()
        stack_writer.latents_path("bg").write_bytes(b"latents")
    assert not (tmp_path / "s").exists()


def test_an_error_in_the_middle_leaves_nothing_and_is_passed_on(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        make(tmp_path / "s", progress=stop)
    assert not (tmp_path / "s").exists()


def test_what_was_in_the_folder_before_is_kept(tmp_path: Path) -> None:
    (tmp_path / "s" / "bg").mkdir(parents=True)
    (tmp_path / "s" / "bg" / "notes.txt").write_text("mine")
    with writer(tmp_path / "s") as stack_writer:
        fill(stack_writer)
    kept = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert kept == [tmp_path / "s" / "bg" / "notes.txt"]


def test_a_finished_stack_is_never_overwritten(tmp_path: Path) -> None:
    result = write_stack(tmp_path / "s")
    with pytest.raises(StackError) as caught:
        writer(tmp_path / "s")
    assert caught.value.reason == "STACK_EXISTS"
    assert (tmp_path / "s" / result.layer("bg").files[0].path).is_file()


def test_leftovers_of_a_killed_writer_are_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "s" / "bg" / "v001"
    folder.mkdir(parents=True)
    for name in ("bg_v001.1009.exr", ".bg_v001.1001.exr.4711.part"):
        (folder / name).write_bytes(b"half a picture")
    write_stack(tmp_path / "s")
    assert sorted(path.name for path in folder.iterdir()) == [
        "bg_v001.1001.exr",
        "bg_v001.1002.exr",
    ]


def test_missing_frames_are_named(tmp_path: Path) -> None:
    with writer(tmp_path / "s") as stack_writer:
        stack_writer.write_frame("bg", 0, gradient())
        with pytest.raises(StackError, match="bg, shadow_01, fg_01 are missing") as caught:
            stack_writer.finish()
    assert caught.value.reason == "FRAMES_MISSING"


def test_a_frame_out_of_range_or_twice_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with writer(tmp_path / "s") as stack_writer:
        stack_writer.write_frame("bg", 0, gradient())
        for index in (0, 2, -1):
            with pytest.raises(ValueError, match="does not expect"):
                stack_writer.write_frame("bg", index, gradient())


@pytest.mark.parametrize("shape", [(3, WIDTH, HEIGHT), (HEIGHT, WIDTH, 3), (1, HEIGHT, WIDTH)])
def test_a_picture_of_another_shape_is_a_mistake_of_the_caller(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with writer(tmp_path / "s") as result, pytest.raises(ValueError, match="want color and alpha"):
        result.write_frame("bg", 0, torch.zeros(shape))


def test_a_full_disk_is_reported_and_leaves_nothing(tiny_disk: Path) -> None:
    with pytest.raises(DiskFull, match="disk is full") as caught:
        make(tiny_disk / "s", frames=60)
    assert caught.value.reason == "DISK_FULL"
    assert ".part" not in caught.value.message
    assert list(tiny_disk.iterdir()) == []


def test_a_disk_that_fills_with_tiny_files_is_noticed(tiny_disk: Path) -> None:
    """OIIO reports a good write of an empty file when only the last flush fails."""
    (tiny_disk / "other").write_bytes(bytes(180_000))
    with pytest.raises(DiskFull):
        make(tiny_disk / "s", frames=60)
    assert [path.name for path in tiny_disk.iterdir()] == ["other"]


def test_no_frame_shows_under_its_name_before_it_is_whole(tmp_path: Path) -> None:
    """Hosts poll: what ends in .exr must be readable at every moment."""
    from layert2v_engine.image import exr

    with writer(tmp_path / "s", frames=30) as stack_writer:
        for index in range(30):
            stack_writer.write_frame("bg", index, gradient())
            assert all(exr.is_complete(path) for path in (tmp_path / "s").rglob("*.exr"))
