"""Files by their SHA-256."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from layert2v_client import Cancelled
from layert2v_client.transfer.file_hash import has_content, sha256_of


def test_a_file_has_its_content_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(b"pixels")
    sha256 = hashlib.sha256(b"pixels").hexdigest()
    assert sha256_of(path) == sha256
    assert has_content(path, 6, sha256)
    assert not has_content(path, 7, sha256)
    assert not has_content(path, 6, "0" * 64)
    assert not has_content(tmp_path, 6, sha256)


def test_hashing_can_be_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(b"pixels")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        sha256_of(path, stop)
