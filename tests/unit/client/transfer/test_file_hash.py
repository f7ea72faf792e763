"""Files by their SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from layert2v import stack
from layert2v.errors import ManifestError
from layert2v_client import Cancelled, InvalidRequest
from layert2v_client.transfer import local_file
from layert2v_client.transfer.file_hash import has_content, sha256_of, write_all


def test_a_file_has_its_content_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(b"pixels")
    sha256 = hashlib.sha256(b"pixels").hexdigest()
    assert sha256_of(path) == sha256
    assert has_content(path, 6, sha256)
    assert not has_content(path, 7, sha256)
    assert not has_content(path, 6, "0" * 64)
    assert not has_content(tmp_path, 6, sha256)


def test_a_file_that_takes_bytes_in_parts_gets_all_of_them() -> None:
    class Pipe(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:3])

    pipe = Pipe()
    write_all(pipe, memoryview(b"0123456789"))
    assert pipe.getvalue() == b"0123456789"


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    os.mkfifo(path)  # opening it would wait for somebody who writes
    assert not has_content(path, 0, hashlib.sha256(b"").hexdigest())
    with pytest.raises(InvalidRequest, match="it is no file"):
        local_file(path)
    (tmp_path / "stack.json").symlink_to(path)
    with pytest.raises(ManifestError, match="It is no file"):
        stack.read(tmp_path)


def test_hashing_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(b"pixels")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        sha256_of(path, stop)
