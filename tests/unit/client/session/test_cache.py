"""The cache of sessions: where things are, and what is removed first."""

from __future__ import annotations

import os
import time
from pathlib import Path

from layert2v_client.session.cache import KEEP_PREVIEWS_S, Cache, Removable


def stack(cache: Cache, title: str, age_s: float) -> Path:
    """Make a stack of a megabyte that was finished so many seconds ago."""
    folder = cache.stack_folder(title, "0123456789")
    folder.mkdir(parents=True)
    (folder / "pixels").write_bytes(b"x" * 1_000_000)
    (folder / "stack.json").touch()
    then = time.time() - age_s
    os.utime(folder / "stack.json", (then, then))
    return folder


def test_the_same_request_has_the_same_folder(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 0)
    folder = cache.stack_folder("A red fox!", "0123456789")
    assert folder == tmp_path / "stacks" / "a_red_fox_01234567"
    assert cache.contains(folder)
    assert not cache.contains(tmp_path.parent)


def test_what_was_finished_first_is_removed_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 2_500_000)
    old, used, new = (
        stack(cache, name, age) for name, age in (("old", 9), ("used", 8), ("new", 1))
    )
    removed: list[str] = []
    job = Removable(time.time() - 5, lambda: removed.append("job"))
    cache.trim([used], [job])
    assert (old.exists(), used.exists(), new.exists(), removed) == (False, True, True, [])
    Cache(tmp_path, 1_500_000).trim([used], [job])
    assert (used.exists(), new.exists(), removed) == (True, False, ["job"])


def test_a_stack_without_a_manifest_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 0)
    folder = stack(cache, "fox", 5)
    (folder / "stack.json").unlink()
    cache.trim([])
    assert folder.exists()


def test_old_previews_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10**9)
    old, new = cache.preview("old"), cache.preview("new")
    for path in (old, new):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    then = time.time() - KEEP_PREVIEWS_S - 60
    os.utime(old, (then, then))
    cache.trim([])
    assert (old.exists(), new.exists()) == (False, True)
