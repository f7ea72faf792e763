"""Atomic writes: a file is whole, and a write that fails leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layert2v.atomic_write import atomic_create, atomic_write


@pytest.mark.parametrize("write", [atomic_write, atomic_create])
def test_text_and_bytes(write: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "ü\n")
    write(tmp_path / "b.bin", b"\x00", mode=0o600, durable=False)
    assert (tmp_path / "a.txt").read_bytes() == "ü\n".encode()
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "b.bin").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_write_replaces_and_create_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_write(path, "one")
    atomic_write(path, "two")
    with pytest.raises(FileExistsError):
        atomic_create(path, "three")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_create_on_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    atomic_create(tmp_path / "a.txt", "one")
    with pytest.raises(FileExistsError):
        atomic_create(tmp_path / "a.txt", "two")
    assert (tmp_path / "a.txt").read_text() == "one"


@pytest.mark.parametrize("write", [atomic_write, atomic_create])
def test_a_write_that_fails_leaves_nothing(
    write: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "a.txt", "one")
    assert list(tmp_path.iterdir()) == []
