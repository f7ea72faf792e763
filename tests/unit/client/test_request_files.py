"""Which pictures an artist means by a folder, a file or files."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_client import InvalidRequest
from layert2v_client.request_files import find_images


def folder(where: Path, *names: str) -> Path:
    for name in names:
        (where / name).touch()
    return where


def test_frames_of_a_folder_come_by_number(tmp_path: Path) -> None:
    folder(tmp_path, "p.10.png", "p.8.png", "p.9.png", "notes.txt", ".p.7.png")
    assert [path.name for path in find_images(tmp_path)] == ["p.8.png", "p.9.png", "p.10.png"]


def test_files_that_are_named_stay_in_their_order(tmp_path: Path) -> None:
    given = [tmp_path / "b.png", tmp_path / "a.exr"]
    assert find_images(given) == given


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "INPUT_EMPTY"),
        (("a.tga",), "INPUT_EMPTY"),
        (("a.1.png", "b.1.png"), "INPUT_MIXED"),
        (("a.1.png", "a.3.png"), "INPUT_MIXED"),
    ],
)
def test_other_folders_than_a_sequence_are_refused(
    tmp_path: Path, names: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        find_images(folder(tmp_path, *names))
    assert refused.value.reason == reason
    assert tmp_path.name in refused.value.message


def test_one_file_must_be_a_picture(tmp_path: Path) -> None:
    folder(tmp_path, "a.png", "a.txt")
    assert find_images(tmp_path / "a.png") == [tmp_path / "a.png"]
    with pytest.raises(InvalidRequest, match="There are no pictures"):
        find_images(tmp_path / "a.txt")
