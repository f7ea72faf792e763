"""What a stack folder holds, for tests about what a change may and may not touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fakes.sample_stacks import read_rgba
from layert2v.stack import Stack


def fingerprints(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, time of change and inode of every file, by relative path."""
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes(),
            path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def frames(folder: Path, stack: Stack, name: str) -> np.ndarray:
    """Half pixels ``[T, H, W, 4]`` of a layer or flat, as the OpenEXR library sees them."""
    sequences = {each.name: each for each in (*stack.layers, *stack.flats)}
    return np.stack([read_rgba(folder / file.path) for file in sequences[name].files])
