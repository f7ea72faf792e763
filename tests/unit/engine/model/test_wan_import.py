"""Weights in the authors' layout that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.model.wan_import import (
    convert_transformer,
    diffusers_name,
    import_transformer,
    merge_adapter,
)

CONFIG = {
    "dim": 32,
    "ffn_dim": 64,
    "freq_dim": 32,
    "text_dim": 16,
    "num_heads": 2,
    "num_layers": 1,
    "in_dim": 4,
    "out_dim": 4,
    "eps": 1e-6,
}
ADAPTER = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Weights under the authors' names."""
    model = LayeredWanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        text_dim=16,
        freq_dim=32,
        ffn_dim=64,
        num_layers=1,
    )
    block = ["modulation", "norm3.weight", "norm3.bias"]
    for attention in ("self_attn", "cross_attn"):
        block += [f"{attention}.{p}.{kind}" for p in "qkvo" for kind in ("weight", "bias")]
        block += [f"{attention}.norm_{p}.weight" for p in "qk"]
    pairs = ["text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2"]
    pairs += [
        "time_projection.1",
        "head.head",
        "patch_embedding",
        "blocks.0.ffn.0",
        "blocks.0.ffn.2",
    ]
    names = [f"{pair}.{kind}" for pair in pairs for kind in ("weight", "bias")]
    names += ["head.modulation", *(f"blocks.0.{name}" for name in block)]
    state = model.state_dict()
    return {name: state[diffusers_name(name)].clone() for name in names}


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


def test_flat_wan_weights_start_without_layers(weights: dict[str, Tensor]) -> None:
    model = convert_transformer(weights, CONFIG)
    assert not model.layer_modulation.any()
    assert tuple(model.config.roles) == ("composite", "background", "foreground", "matte")


def test_foreign_weights_are_refused(weights: dict[str, Tensor]) -> None:
    with pytest.raises(BadCheckpoint, match="mystery"):
        convert_transformer(weights | {"mystery": torch.zeros(1)}, CONFIG)
    with pytest.raises(BadCheckpoint, match="do not fit"):
        convert_transformer(weights, CONFIG | {"ffn_dim": 128})


@pytest.mark.parametrize(("rslora", "scale"), [(False, 2.0), (True, 4 / 2**0.5)])
def test_an_adapter_is_worked_in(tmp_path: Path, weights, rslora: bool, scale: float) -> None:
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
