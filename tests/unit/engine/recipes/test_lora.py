from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fakes.tiny_weights import kohya_update, tiny_vace
from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.recipes.lora import fold_updates, read_update
from layert2v_engine.recipes.networks import linear_layers, wan_name


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return tiny_vace().requires_grad_(False)


def test_names_are_those_of_wans_own_code() -> None:
    names = {
        "blocks.3.attn1.to_q.weight": "blocks.3.self_attn.q.weight",
        "blocks.3.attn2.to_out.0.bias": "blocks.3.cross_attn.o.bias",
        "blocks.3.attn2.add_k_proj.weight": "blocks.3.cross_attn.k_img.weight",
        "blocks.3.attn1.norm_q.weight": "blocks.3.self_attn.norm_q.weight",
        "blocks.3.norm2.weight": "blocks.3.norm3.weight",
        "blocks.3.ffn.net.2.weight": "blocks.3.ffn.2.weight",
        "blocks.3.scale_shift_table": "blocks.3.modulation",
        "scale_shift_table": "head.modulation",
        "vace_blocks.1.proj_in.weight": "vace_blocks.1.before_proj.weight",
        "vace_blocks.1.ffn.net.0.proj.weight": "vace_blocks.1.ffn.0.weight",
        "condition_embedder.time_proj.weight": "time_projection.1.weight",
        "condition_embedder.image_embedder.norm2.weight": "img_emb.proj.4.weight",
        "patch_embedding.weight": "patch_embedding.weight",
    }
    assert {name: wan_name(name) for name in names} == names


def test_lora_is_added_as_written(network: torch.nn.Module) -> None:
    update = kohya_update(network, rank=4, seed=1)
    folded = copy.deepcopy(network)
    assert fold_updates(folded, update, "it") == len(linear_layers(network))
    for name, layer in linear_layers(folded).items():
        key = "lora_unet__" + name.replace(".", "_")
        up, down = (update[f"{key}.lora_{each}.weight"] for each in ("up", "down"))
        expected = linear_layers(network)[name].weight + 1.0 / 4 * up @ down
        assert torch.allclose(layer.weight, expected, atol=1e-6), name


def test_dora_gives_what_the_reference_gives() -> None:
    peft = pytest.importorskip("peft")
    base = torch.nn.Sequential(torch.nn.Linear(6, 5, bias=False)).requires_grad_(False)
    config = peft.LoraConfig(r=2, lora_alpha=2, target_modules=["0"], use_dora=True)
    adapted = peft.get_peft_model(copy.deepcopy(base), config)
    layer = adapted.base_model.model[0]
    torch.nn.init.normal_(layer.lora_B.default.weight)
    torch.nn.init.uniform_(layer.lora_magnitude_vector.default.weight)
    state = {
        "0.lora_A.weight": layer.lora_A.default.weight.detach().clone(),
        "0.lora_B.weight": layer.lora_B.default.weight.detach().clone(),
        "0.lora_magnitude_vector": layer.lora_magnitude_vector.default.weight.detach().clone(),
    }
    reference = adapted.merge_and_unload()[0].weight
    fold_updates(base, state, "it")
    assert torch.allclose(base[0].weight, reference, atol=1e-6)


def test_dora_has_the_length_of_its_magnitudes(network: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(3)
    name, layer = next(iter(linear_layers(network).items()))
    rows, columns = layer.weight.shape
    down, up, magnitude = (
        torch.randn(*shape, generator=generator) for shape in ((2, columns), (rows, 2), (rows,))
    )
    state = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    folded = copy.deepcopy(network)
    fold_updates(folded, {**state, f"{name}.lora_magnitude_vector": magnitude}, "it")
    moved = layer.weight + up @ down
    expected = magnitude[:, None] * moved / moved.norm(dim=1, keepdim=True)
    assert torch.allclose(linear_layers(folded)[name].weight, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: {k: v[:, :-1] if "down" in k else v for k, v in state.items()}, "width"),
        (lambda state: {k.replace("blocks_0", "blocks_9"): v for k, v in state.items()}, "have"),
        (lambda state: {k: v for k, v in state.items() if "up" not in k}, "lacks the two matrices"),
        (lambda state: {**state, "lora_unet__head_head.what": torch.zeros(1)}, "no part of"),
        (lambda state: {**state, "head.head.diff": torch.zeros(3)}, "changes head.head.weight"),
        (lambda state: {**state, "head.tail.diff_b": torch.zeros(3)}, "changes head.tail.bias"),
        (lambda state: {}, "lacks the two matrices at all"),
    ],
)
def test_an_update_that_does_not_fit_changes_nothing(
    network: torch.nn.Module, change: object, words: str
) -> None:
    folded = copy.deepcopy(network)
    state = change(kohya_update(network, rank=2, seed=1))  # type: ignore[operator]
    with pytest.raises(BadCheckpoint, match=words):
        fold_updates(folded, state, "SVOR's file")
    for name, layer in linear_layers(folded).items():
        assert torch.equal(layer.weight, linear_layers(network)[name].weight)


def test_a_file_that_is_not_whole_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({"a": torch.zeros(9)}, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadCheckpoint, match=r"lora.safetensors cannot be read, or is not whole"):
        read_update(path)
