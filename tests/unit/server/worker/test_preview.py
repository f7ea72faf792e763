"""Previews: small, and never a reason to fail."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layert2v.wire import MAX_PREVIEW_BYTES
from layert2v_server.worker.preview import shrink_to_png, write_preview


def test_large_previews_become_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 1400, 4), np.uint8)
    Image.fromarray(noise).save(tmp_path / "big.png")
    data = shrink_to_png((tmp_path / "big.png").read_bytes())
    assert len(data) <= MAX_PREVIEW_BYTES
    width, height = Image.open(io.BytesIO(data)).size
    assert width / height == pytest.approx(1400 / 900, rel=0.02)


def test_a_file_that_is_no_image_gives_no_preview(tmp_path: Path) -> None:
    (tmp_path / "not.png").write_text("no picture")
    assert not write_preview(tmp_path / "not.png", tmp_path / "preview.png")
    assert not write_preview(tmp_path / "absent.png", tmp_path / "preview.png")
    assert not (tmp_path / "preview.png").exists()
