"""Paths of a server on this machine, and files that are offered to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_client.transfer.shared_disk import SharedInbox, paths_here


@pytest.mark.parametrize(
    ("path", "pairs", "here"),
    [
        ("/mnt/jobs/1/stack", (("/mnt/jobs", "/Volumes/jobs"),), ["/Volumes/jobs/1/stack"]),
        ("/mnt/jobs", (("/mnt/jobs/", "/x"),), ["/x"]),
        ("/mnt/jobs2/1", (("/mnt/jobs", "/x"),), []),
        ("J:\\jobs\\1", (("J:\\jobs", "/x"),), ["/x/1"]),
        ("/a/b", (("/a", "/x"), ("/a/b", "/y"), ("", "/z")), ["/x/b", "/y"]),
        ("", (("/a", "/x"),), []),
    ],
)
def test_paths_of_shared_storage(
    path: str, pairs: tuple[tuple[str, str], ...], here: list[str]
) -> None:
    itself = [path] if Path(path).is_absolute() else []
    assert [str(each) for each in paths_here(path, pairs)] == itself + here


def test_a_file_is_offered_as_a_link(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    file, place = tmp_path / "plate.exr", tmp_path / "server/1"
    file.write_bytes(b"plate")
    place.write_bytes(b"half of a file")  # of a call that was cut off
    (tmp_path / "alias.exr").symlink_to(file)
    inbox = SharedInbox((("/data", str(tmp_path / "server")),))
    for source in (file, tmp_path / "alias.exr"):
        assert inbox.link(source, "/data/1") == place
        assert place.samefile(file)
        assert not place.is_symlink()
    assert inbox.link(file, "") is None
    assert inbox.link(file, str(tmp_path / "nowhere/1")) is None
    inbox.is_usable = False
    assert inbox.link(file, "/data/1") is None
