"""Measure a component's folder before anything is built from it.

A config.json is a few hundred bytes that may ask for any number of layers, and the header of a
safetensors file may name any number of tensors. Both are compared with what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layert2v_engine.tensor_file import count_tensors, refusal

MAX_CONFIG_BYTES = 1 << 20
_LAYER_COUNTS = ("num_layers", "num_hidden_layers", "num_decoder_layers", "num_blocks", "depth")
_MIN_TENSORS_BYTES = 1 << 20  # a number below this is no danger, however small the weights are


def check_weights(folder: Path) -> None:
    """Raise BadCheckpoint where the config of a folder asks for more than its weights can hold."""
    paths = sorted(folder.glob("*.safetensors"))
    tensors = sum(count_tensors(path) for path in paths)
    size = sum(path.stat().st_size for path in paths)
    config = folder / "config.json"
    if not paths or not config.is_file():
        return  # what is missing is for the loader to say
    if config.stat().st_size > MAX_CONFIG_BYTES:
        raise refusal(folder, "its config.json is too large")
    for name, value in _integers(json.loads(config.read_text(encoding="utf-8"))):
        if name in _LAYER_COUNTS and value > tensors:
            raise refusal(folder, f"{name} is {value}, and there are {tensors} tensors")
        if value > max(size, _MIN_TENSORS_BYTES):
            raise refusal(folder, f"{name} is {value}, and the weights have {size} bytes")


def _integers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Yield every whole number of a document with the key it stands under."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _integers(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _integers(inner, name)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value
