"""What tests compare of stack folders: the hash of every file, and whether states are complete."""

from __future__ import annotations

import hashlib
from pathlib import Path

from layert2v import stack
from layert2v.rerender import RerenderSpec


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def assert_complete(folder: Path, states: int) -> None:
    """Fail unless every state has its manifest and its files, with the right content."""
    here = file_hashes(folder)
    for state in range(1, states + 1):
        made = stack.read_state(folder, state)
        assert made.state == state
        assert {file.path: file.sha256 for file in made.files()}.items() <= here.items()
    assert stack.read(folder).state == states
    assert not [path for path in here if Path(path).name.startswith(".")]


def regenerate(**more: object) -> RerenderSpec:
    """Return a request that generates ``fg_01`` again."""
    return RerenderSpec(**{"action": "regenerate", "layers": ("fg_01",), **more})
