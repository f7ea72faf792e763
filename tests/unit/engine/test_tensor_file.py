"""Safetensors files: their header is measured before anything is built from it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.tensor_file import load_tensors, open_tensors
from layert2v_engine.training.latents import LatentSet
from layert2v_engine.training.splitter.frames import FrameSet
from layert2v_engine.world.dataset import ClipSet


def write_header(path: Path, header: str) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3), "b": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    tensors = load_tensors(tmp_path / "x.safetensors")
    assert tensors["a"].tolist() == [0, 1, 2]
    with open_tensors(tmp_path / "x.safetensors") as file:
        assert file.get_slice("b").get_shape() == [2, 2]
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / "none")


@pytest.mark.parametrize(
    "load",
    [load_tensors, ClipSet.load, LatentSet.load, FrameSet.load],
    ids=lambda f: f.__qualname__,
)
def test_absurd_headers_are_refused(tmp_path: Path, load: object) -> None:
    path = tmp_path / "x.safetensors"
    many = ",".join(f'"{k}":{{"data_offsets":[0,0]}}' for k in range(100_001))
    for header in (f"{{{many}}}", " " * (9 << 20), "{", "{}x"):
        write_header(path, header)
        with pytest.raises(BadCheckpoint, match="cannot be used"):
            load(path)  # type: ignore[operator]
    path.write_bytes(b"short")
    with pytest.raises(BadCheckpoint):
        load(path)  # type: ignore[operator]
