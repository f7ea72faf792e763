"""Checkpoint folders: our own, stock Wan's, and what they declare."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from fakes.tiny_model import write_tiny_model
from layert2v.spec import ModelInfo
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.checkpoint import (
    INDEX,
    CheckpointConfig,
    LatentNormalization,
    link_folder,
    load_transformer,
    read_index,
    save_transformer,
    write_index,
)
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
    "rope_max_seq_len": 64,
}
INFO = ModelInfo(
    name="tiny",
    title="Tiny",
    digest="",
    width_range=(64, 128),
    height_range=(64, 128),
    size_step=16,
    frames_range=(1, 9),
    frames_step=4,
    max_foregrounds=2,
    default_width=112,
    default_height=80,
    default_frames=9,
    default_fps=12.0,
    default_steps=16,
    default_guidance=2.0,
    steps_range=(1, 50),
    guidance_range=(1.0, 8.0),
    abilities=("generate", "clean_conditioning"),
    vocabulary={"subject": ("horse", "boat")},
)
ROLES = ("composite", "background", "foreground", "matte", "foreground_02")


def config() -> CheckpointConfig:
    latent_normalization = {
        role: LatentNormalization(latents_mean=(k, k + 0.5), latents_std=(1.0, 2.0))
        for k, role in enumerate(ROLES)
    }
    return CheckpointConfig(
        info=INFO, latent_normalization=latent_normalization, shift=3.0, frames_per_stream=3
    )


def tiny(**more: object) -> LayeredWanTransformer3DModel:
    torch.manual_seed(0)
    model = LayeredWanTransformer3DModel(**TINY, **more)
    torch.nn.init.normal_(model.layer_modulation)
    return model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_transformer(tiny(), tmp_path / "transformer")
    write_index(config(), tmp_path)
    return tmp_path


@pytest.mark.parametrize("pieces", ["10GB", "50KB"])
def test_a_stock_wan_folder_loads_and_draws_the_same(tmp_path: Path, pieces: str) -> None:
    torch.manual_seed(0)
    stock = WanTransformer3DModel(**TINY).eval()
    stock.save_pretrained(tmp_path, max_shard_size=pieces)
    ours = load_transformer(tmp_path)
    latents, text, time = torch.randn(1, 16, 3, 8, 8), torch.randn(1, 9, 32), torch.tensor([500.0])
    with torch.no_grad():
        theirs = stock(latents, time, text, return_dict=False)[0]
        sample = ours(
            latents[:, None], time, text[:, None], roles=[0], attended_prompts=[(0,)]
        ).sample
    torch.testing.assert_close(sample[:, 0], theirs, atol=1e-6, rtol=0)
    assert not ours.layer_modulation.any()


def test_our_own_folder_comes_back_the_same(tmp_path: Path) -> None:
    model = tiny(roles=ROLES, rope_dims=(4, 4, 4, 4), position_grid=(3, 4))
    save_transformer(model, tmp_path)
    loaded = load_transformer(tmp_path)
    assert tuple(loaded.config.roles) == ROLES
    assert tuple(loaded.config.rope_dims) == (4, 4, 4, 4)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_half_the_size_on_disk_is_single_precision_in_memory(tmp_path: Path) -> None:
    model = tiny()
    save_transformer(model, tmp_path, dtype=torch.float16)
    loaded = load_transformer(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert model.layer_modulation.dtype == torch.float32
    torch.testing.assert_close(loaded.layer_modulation, model.layer_modulation, atol=2e-3, rtol=0)


def test_loading_as_bfloat16_keeps_modulation_in_single_precision(tmp_path: Path) -> None:
    save_transformer(tiny(position_grid=(2, 2)), tmp_path)
    loaded = load_transformer(tmp_path, dtype=torch.bfloat16)
    assert loaded.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert loaded.layer_modulation.dtype == loaded.position_table.dtype == torch.float32


def test_weights_are_cut_into_pieces_below_15_megabytes(tmp_path: Path) -> None:
    save_transformer(LayeredWanTransformer3DModel(**TINY | {"ffn_dim": 40_000}), tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.glob("*.safetensors")]
    assert sum(sizes) > 15e6
    assert max(sizes) < 15e6


def test_a_folder_without_one_of_its_weights_is_refused(tmp_path: Path) -> None:
    save_transformer(tiny(), tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    tensors = load_file(path)
    del tensors["layer_modulation"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BadCheckpoint, match="lacks layer_modulation"):
        load_transformer(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save_transformer(tiny(), tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadCheckpoint, match="cannot be loaded"):
        load_transformer(tmp_path)


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load_transformer(tmp_path)
    with pytest.raises(ModelNotFound):
        read_index(tmp_path)


def test_declarations_come_back_the_same_with_the_digest_of_the_files(checkpoint: Path) -> None:
    read = read_index(checkpoint)
    assert len(read.info.digest) == 64
    without = dataclasses.replace(read, info=dataclasses.replace(read.info, digest=""))
    assert without == config()


def test_the_index_names_the_parts_as_diffusers_does(checkpoint: Path) -> None:
    index = json.loads((checkpoint / INDEX).read_text())
    assert index["transformer"] == ["layert2v_engine", "LayeredWanTransformer3DModel"]


def test_other_weights_have_another_digest(checkpoint: Path) -> None:
    before = read_index(checkpoint).info.digest
    assert write_index(config(), checkpoint).info.digest == before
    (path,) = (checkpoint / "transformer").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert write_index(config(), checkpoint).info.digest != before


def test_statistics_follow_the_streams(checkpoint: Path) -> None:
    layout = StreamLayout.for_foregrounds(2, shadows=False)
    mean, std = read_index(checkpoint).latents_mean_std(layout)
    assert mean[:, 0].tolist() == [0, 1, 2, 3, 4, 3]
    assert std.shape == (6, 2)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "format"),
        ("prediction", "epsilon", "prediction must be one of v, x"),
        ("shift", "big", "shift"),
        ("whitening", {"composite": {"mean": [0], "std": "no"}}, "std"),
        ("future", 1, "future"),
    ],
)
def test_an_index_we_do_not_understand_is_refused(
    checkpoint: Path, key: str, value: object, message: str
) -> None:
    index = json.loads((checkpoint / INDEX).read_text())
    index["layert2v"][key] = value
    (checkpoint / INDEX).write_text(json.dumps(index))
    with pytest.raises(BadCheckpoint, match=message):
        read_index(checkpoint)


def test_what_diffusers_keeps_in_float32_is_written_so(tmp_path: Path) -> None:
    model = LayeredWanTransformer3DModel(**TINY)
    save_transformer(model, tmp_path, dtype=torch.bfloat16)
    (path,) = tmp_path.glob("*.safetensors")
    types = {name: tensor.dtype for name, tensor in load_file(path).items()}
    assert types["layer_modulation"] == types["scale_shift_table"] == torch.float32
    assert types["condition_embedder.time_embedder.linear_1.weight"] == torch.float32
    assert types["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert model.blocks[0].attn1.to_q.weight.dtype == torch.float32


@pytest.mark.parametrize(("limit", "pieces"), [(10**9, 2), (10**6, 1)])
def test_only_small_models_are_cut_into_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, pieces: int
) -> None:
    """A model of 20 MB on either side of the limit."""
    monkeypatch.setattr("layert2v_engine.model.checkpoint.SMALL_MODEL", limit)
    model = LayeredWanTransformer3DModel(**TINY | {"ffn_dim": 40_000})
    save_transformer(model, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == pieces


def test_large_parts_are_linked_and_a_new_index_leaves_the_other_model_alone(
    tmp_path: Path,
) -> None:
    there, copy = tmp_path / "there", tmp_path / "copy"
    (there / "text_encoder").mkdir(parents=True)
    written = there / "text_encoder" / "config.json"
    written.write_text('{"_name_or_path": "home"}')
    (there / "text_encoder" / "model.safetensors").write_bytes(b"weights")
    link_folder(there, copy)
    assert (copy / "text_encoder" / "model.safetensors").samefile(
        there / "text_encoder" / "model.safetensors"
    )
    write_index(config(), copy)
    assert "home" in written.read_text()
    assert "home" not in (copy / "text_encoder" / "config.json").read_text()


def test_whoever_may_read_the_index_may_read_the_weights(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path) / "mini"
    modes = {path.stat().st_mode for path in folder.rglob("*") if path.is_file()}
    assert modes == {(folder / INDEX).stat().st_mode}
