"""The folder a session may fill: the local server's data, stacks without a folder, previews.

    server-HOST/     the local server; a folder a machine, since homes are shared and servers not
    stacks/          results that the artist gave no folder
    previews/        one PNG a request

Knows files and their ages, not jobs.
"""

from __future__ import annotations

import platform
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layert2v.stack import MANIFEST_NAME, slug

DEFAULT_ROOT = Path.home() / ".layert2v"
KEEP_PREVIEWS_S = 86400.0


@dataclass(frozen=True)
class Removable:
    """Something that may be removed: its time of finish in seconds since 1970, and how."""

    finished_at: float
    remove: Callable[[], object]


class Cache:
    """Paths below ``root``, and the order in which files are removed over ``limit_bytes``."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes

    @property
    def server_data(self) -> Path:
        """The data folder of this machine's server."""
        host = re.sub(r"[^A-Za-z0-9.-]+", "_", platform.node()) or "here"
        return self._root / f"server-{host}"

    def stack_folder(self, title: str, request_id: str) -> Path:
        """Return the folder of a request that has none; the same request has the same folder."""
        return self._root / "stacks" / f"{slug(title)}_{request_id[:8]}"

    def preview(self, request_id: str) -> Path:
        """Return the path of a request's preview."""
        return self._root / "previews" / f"{request_id}.png"

    def contains(self, folder: Path) -> bool:
        """Return whether ``folder`` is one that the cache may remove."""
        return self._root.resolve() in folder.resolve().parents

    def trim(self, in_use: Iterable[Path], others: Iterable[Removable] = ()) -> None:
        """Remove what was finished first, until the rest fits; never what is ``in_use``."""
        used = {folder.resolve() for folder in in_use}
        for path in (self._root / "previews").glob("*.png"):
            with suppress(OSError):  # another session may remove it, too
                if path.stat().st_mtime < time.time() - KEEP_PREVIEWS_S:
                    path.unlink()
        candidates = sorted((*_stacks(self._root / "stacks", used), *others), key=_finished_at)
        for candidate in candidates:
            if _disk_usage(self._root) <= self._limit_bytes:
                return
            candidate.remove()


def _finished_at(candidate: Removable) -> float:
    return candidate.finished_at


def _stacks(folder: Path, used: set[Path]) -> Iterator[Removable]:
    """Yield the finished stacks; one without a manifest is still being downloaded."""
    for manifest in folder.glob(f"*/{MANIFEST_NAME}"):
        if manifest.parent.resolve() not in used:
            with suppress(OSError):
                yield Removable(manifest.stat().st_mtime, _make_remover(manifest.parent))


def _make_remover(folder: Path) -> Callable[[], object]:
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def _disk_usage(folder: Path) -> int:
    """Return the bytes of all files below; one with several names counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            found = path.lstat()
            sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())
