"""Weights in the authors' layout that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fakes.wan_weights import CONFIG, wan_weights
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.model.wan_import import (
    convert_transformer,
    import_transformer,
    merge_adapter,
)

ADAPTER = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return wan_weights()


def adapter(folder: Path, tensors: dict[str, Tensor], **config: object) -> Path:
    save_file(
        {f"base_model.model.{k}": v for k, v in tensors.items()},
        folder / "adapter_model.safetensors",
    )
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER | config))
    return folder


def low_rank(name: str) -> dict[str, Tensor]:
    return {
        f"{name}.lora_A.weight": torch.ones(2, 32),
        f"{name}.lora_B.weight": torch.ones(32, 2),
    }


def test_stock_wan_weights_start_without_layers(weights: dict[str, Tensor]) -> None:
    model = convert_transformer(weights, CONFIG)
    assert not model.layer_modulation.any()
    assert tuple(model.config.roles) == ("composite", "background", "foreground", "matte")


def test_foreign_weights_are_refused(weights: dict[str, Tensor]) -> None:
    with pytest.raises(BadCheckpoint, match="mystery"):
        convert_transformer(weights | {"mystery": torch.zeros(1)}, CONFIG)
    with pytest.raises(BadCheckpoint, match="do not fit"):
        convert_transformer(weights, CONFIG | {"ffn_dim": 128})


@pytest.mark.parametrize(("rslora", "scale"), [(False, 2.0), (True, 4 / 2**0.5)])
def test_an_adapter_is_merged(tmp_path: Path, weights, rslora: bool, scale: float) -> None:
    name = "blocks.0.self_attn.q"
    folder = adapter(tmp_path, low_rank(name), use_rslora=rslora)
    merged = merge_adapter(weights, folder)
    change = merged[f"{name}.weight"] - weights[f"{name}.weight"]
    torch.testing.assert_close(change, torch.full((32, 32), 2 * scale), atol=1e-5, rtol=0)


def test_an_adapter_for_another_network_is_refused(tmp_path: Path, weights) -> None:
    folder = adapter(tmp_path, low_rank("blocks.7.self_attn.q"))
    with pytest.raises(BadCheckpoint, match=r"blocks\.7"):
        merge_adapter(weights, folder)


def test_other_kinds_of_adapter_are_refused(tmp_path: Path, weights) -> None:
    folder = adapter(tmp_path, low_rank("blocks.0.self_attn.q"), use_dora=True)
    with pytest.raises(BadCheckpoint, match="use_dora"):
        merge_adapter(weights, folder)


def test_missing_and_damaged_files_are_named(tmp_path: Path, weights) -> None:
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        import_transformer(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(BadCheckpoint, match="damaged"):
        import_transformer(tmp_path)
