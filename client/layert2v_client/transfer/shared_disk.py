"""A disk that client and server both see: where the server's paths are here, and files for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PathMap = tuple[tuple[str, str], ...]


def paths_here(path: str, path_map: PathMap) -> Iterator[Path]:
    """Yield what a path of the server may be on this machine: itself, and through ``path_map``.

    Both kinds of slashes end a prefix.
    """
    known = [path]
    for there, here in path_map:
        prefix = there.rstrip("/\\")
        rest = path[len(prefix) :]
        if prefix and path.startswith(prefix) and (not rest or rest[0] in "/\\"):
            known.append(str(Path(here, *rest.replace("\\", "/").split("/")[1:])))
    for each in known:
        if each and Path(each).is_absolute():
            yield Path(each)


class SharedInbox:
    """Offers files to a server as hard links in a folder of its disk.

    Not copies: those would be written twice. Where a server did not take one, it is not tried
    again; its folder has only the same name.
    """

    def __init__(self, path_map: PathMap) -> None:
        self._path_map = path_map
        self.is_usable = True

    def link(self, file: Path, inbox_path: str) -> Path | None:
        """Link a file to where the server looks for it; return that place, None where it fails."""
        if not self.is_usable:
            return None
        for place in paths_here(inbox_path, self._path_map):
            try:
                place.unlink(missing_ok=True)  # of a call that was cut off
                os.link(file.resolve(), place)
            except OSError:  # another disk, or one without links; somebody else's file
                continue
            return place
        return None
