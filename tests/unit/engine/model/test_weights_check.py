"""Configs and headers that ask for more than is there are refused before anything is built."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.weights_check import check_weights


def component(folder: Path, **config: object) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    save_file({f"block.{k}": torch.zeros(2) for k in range(3)}, folder / "model.safetensors")
    return folder


def test_what_fits_passes(tmp_path: Path) -> None:
    check_weights(tmp_path)
    check_weights(component(tmp_path, num_layers=3, dims=[1, 2], name="x", flag=True))


@pytest.mark.parametrize(
    "config", [{"num_layers": 20_000}, {"vocab_size": 10**9}, {"inner": {"sizes": [1, 10**9]}}]
)
def test_a_config_that_asks_for_more_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(BadCheckpoint, match=r"is \d+, and"):
        check_weights(component(tmp_path, **config))


def test_absurd_headers_are_refused(tmp_path: Path) -> None:
    component(tmp_path)
    names = "".join(f'"{k}":{{"data_offsets":[0,0]}},' for k in range(100_001))
    for header, sentence in ((names, "names 100001 tensors"), (" " * (9 << 20), "9437184 bytes")):
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
        with pytest.raises(BadCheckpoint, match=sentence):
            check_weights(tmp_path)
