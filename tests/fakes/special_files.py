"""What may lie in the place of a file without being one: links, pipes, devices, folders."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

SPECIAL_FILES = ("link", "pipe", "device", "folder")


def make_special(path: Path, kind: str) -> None:
    """Make one of ``SPECIAL_FILES``; skip the test where this user may not."""
    if kind == "link":
        target = path.with_name(f"{path.name}_target")
        target.write_bytes(b"0123456789")
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # of endless zeros
        except PermissionError:
            pytest.skip("only root may make a device")
