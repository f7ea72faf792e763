"""Safetensors files, opened once their header is measured.

The header of a file may name any number of tensors, and takes memory before one is read.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from layert2v_engine.errors import BadCheckpoint

MAX_HEADER_BYTES = 8 << 20
MAX_TENSORS = 100_000


def count_tensors(
    path: Path, *, max_header_bytes: int = MAX_HEADER_BYTES, max_tensors: int = MAX_TENSORS
) -> int:
    """Return how many tensors a safetensors file names. Raises BadCheckpoint for too many.

    Their shapes are compared with the size of the file by ``safe_open``, before it maps any.
    """
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if length > max_header_bytes:
            raise refusal(path, f"its header has {length} bytes")
        count = file.read(length).count(b'"data_offsets"')
    if count > max_tensors:
        raise refusal(path, f"it names {count} tensors")
    return count


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, once its header is measured.

    Raises BadCheckpoint for a file that is damaged or names too many, ``OSError`` for none.
    """
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file as ``safe_open`` does, once its header is measured.

    Raises BadCheckpoint for a file that is damaged or names too many, ``OSError`` for none.
    """
    count_tensors(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise refusal(path, str(error)) from error


def refusal(path: Path, what: str) -> BadCheckpoint:
    """Return the error for a file or a folder of which ``what`` is wrong."""
    return BadCheckpoint(
        f"{path} cannot be used: {what}.", "Copy the model folder again, whole and unchanged."
    )
