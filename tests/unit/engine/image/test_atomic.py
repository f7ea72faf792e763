"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from layert2v_engine.errors import DiskFull, StackError
from layert2v_engine.image.atomic import atomic_write, probe_disk_space, write_error


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "folder" / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "folder" / "a.txt").exists()
        assert temporary.name.startswith(".")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.txt"]


def test_folders_are_made_but_not_those_of_a_disk_that_is_gone(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "stack" / "bg" / "v001" / "a.exr") as temporary:
        temporary.write_text("new")
    lost = tmp_path / "jobs" / "1" / "stack" / "bg" / "v001" / "a.exr"
    refused = pytest.raises(StackError, match=r"a\.exr could not be written: the folders around it")
    with refused, atomic_write(lost) as temporary:
        temporary.write_text("new")
    assert not (tmp_path / "jobs").exists()


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("new")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), atomic_write(tmp_path / "a.txt") as temporary:
        fail(temporary)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_failed_write_is_an_error_of_the_engine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError) as caught, atomic_write(tmp_path / "file" / "a.txt"):
        pass
    assert caught.value.reason == "WRITE_FAILED"
    assert isinstance(write_error(tmp_path, OSError(errno.ENOSPC, "full")), DiskFull)


def test_a_disk_without_space_is_found(tmp_path: Path) -> None:
    probe_disk_space(tmp_path / "a", 3 << 20)
    assert (tmp_path / "a").stat().st_size == 3 << 20
    with pytest.raises(OSError, match="No space"):
        probe_disk_space(tmp_path / "b", 1 << 60)
