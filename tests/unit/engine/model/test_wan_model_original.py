"""A model made of Wan's own files, and of a checkpoint as the authors' trainer writes it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import UMT5EncoderModel

from fakes.tiny_wan import write_wan_text_encoder
from layert2v.spec import GenerateSpec
from layert2v_engine.cli.main import main
from layert2v_engine.engine import Engine
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.model.autoencoder import WanAutoencoder
from layert2v_engine.model.checkpoint import load_transformer, read_index
from layert2v_engine.model.wan_import import diffusers_name
from layert2v_engine.model.wan_model import WanModelOptions, convert_model
from layert2v_engine.pipeline import LayeredPipeline

pytestmark = pytest.mark.parity

OPTIONS = WanModelOptions(name="wan", title="Wan")


@pytest.fixture(scope="module")
def vae(parity_dir: Path) -> dict[str, Tensor]:
    return load_file(parity_dir / "vae.safetensors")


def part(dump: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in dump.items() if k.startswith(prefix)}


def meta(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        found: dict = json.loads(file.metadata()["meta"])
    return found


@pytest.fixture(scope="module")
def base(
    parity_dir: Path, vae: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder as Wan's own code keeps one, with the weights of the dumps."""
    folder = tmp_path_factory.mktemp("base")
    dump = parity_dir / "dit_rope3d.safetensors"
    config = meta(dump)["config"]
    flat = {k: v for k, v in part(load_file(dump), "w.").items() if "layer_adaln" not in k}
    save_file(flat, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(part(vae, "w."), folder / "Wan2.1_VAE.pth")
    write_wan_text_encoder(folder, width=config["text_dim"])
    return folder


@pytest.fixture
def checkpoint(parity_dir: Path, vae: dict[str, Tensor], tmp_path: Path) -> Path:
    """Return a checkpoint folder of the authors' trainer: adapter, averages, adapted decoder."""
    folder = tmp_path / "step-100"
    shutil.copytree(parity_dir / "peft_checkpoint", folder)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    settings = meta(parity_dir / "vae.safetensors")
    saved = {
        "project_in": part(vae, "proj."),
        "decoder_lora": part(vae, "lora."),
        "config": {
            "lora_rank": settings["lora_rank"],
            "lora_alpha": settings["lora_alpha"],
            "proj_hidden": settings["proj_hidden"],
            "proj_res_blocks": settings["proj_res_blocks"],
            "proj_use_attention": True,
            "proj_dropout": 0.0,
        },
    }
    torch.save(saved, folder / "mask_vae_lora.pt")
    return folder


def convert(base: Path, out: Path, *more: str) -> Path:
    assert main(["convert", "--from", str(base), "--out", str(out), *more]) == 0
    return out


def test_a_base_is_a_model_that_generates(base: Path, tmp_path: Path) -> None:
    model = convert(base, tmp_path / "models" / "wan")
    config = read_index(model)
    assert (config.text_padding, config.noise_levels, config.shift) == ("attended", "layert2v", 5)
    spec = {"prompt": "a fox", "model": "wan", "width": 64, "height": 64, "frames": 5}
    stack = Engine(tmp_path / "models").generate(
        GenerateSpec(**spec, seed=1, steps=1),
        tmp_path / "stack",
        report=lambda _: None,
        cancelled=lambda: False,
    )
    assert "untrained" in stack.warnings[-1]


def test_the_text_encoder_keeps_its_weights(base: Path, tmp_path: Path) -> None:
    model = convert(base, tmp_path / "wan")
    theirs = torch.load(base / "models_t5_umt5-xxl-enc-bf16.pth", weights_only=True)
    ours = UMT5EncoderModel.from_pretrained(model / "text_encoder")
    attention = ours.encoder.block[1].layer[0].SelfAttention
    bias = theirs["blocks.1.pos_embedding.embedding.weight"]
    assert torch.equal(attention.relative_attention_bias.weight, bias)
    gated = ours.encoder.block[0].layer[1].DenseReluDense
    assert torch.equal(gated.wi_0.weight, theirs["blocks.0.ffn.gate.0.weight"])
    assert torch.equal(gated.wi_1.weight, theirs["blocks.0.ffn.fc1.weight"])


def test_a_checkpoint_of_the_authors_is_imported_whole(
    base: Path, checkpoint: Path, vae: dict[str, Tensor], parity_dir: Path, tmp_path: Path
) -> None:
    """Adapter merged, decoder for mattes and projection as in the dumps, four roles, no shadows."""
    model = convert(base, tmp_path / "wan", "--adapter", str(checkpoint))
    ours = load_transformer(model / "transformer").state_dict()
    merged = load_file(parity_dir / "peft_checkpoint" / "merged_and_base.safetensors")
    for key, theirs in part(merged, "merged.").items():
        torch.testing.assert_close(ours[diffusers_name(key)], theirs, atol=1e-4, rtol=0)
    config = read_index(model)
    assert (config.text_padding, config.noise_levels, config.untrained) == (
        "masked",
        "layert2v",
        False,
    )
    assert not config.info.makes_shadows
    networks = LayeredPipeline.from_pretrained(model).components
    assert isinstance(networks.matte_vae, WanAutoencoder)
    with torch.no_grad():
        decoded = torch.cat(list(networks.matte_vae.decode_unclamped(vae["out.z"])), dim=2)
        projected = networks.matte_projection(vae["out.z"])
    torch.testing.assert_close(decoded, vae["out.recon_lora"], atol=1e-4, rtol=0)
    torch.testing.assert_close(projected, vae["out.z_projected"], atol=1e-4, rtol=0)


def write_averages(checkpoint: Path) -> dict[str, Tensor]:
    """Write averages as the authors do, twice the adapter's tensors; return those by name.

    In the order of the network's parameters, and LayerAdaLN last, after one that is all zero.
    """
    adapter = load_file(checkpoint / "adapter_model.safetensors")
    prefix, (layers,) = "base_model.model.", [k for k in adapter if "layer_adaln" in k]
    modules = ["text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2"]
    modules.append("time_projection.1")
    for block in range(2):
        for attention in ("self_attn", "cross_attn"):
            modules += [f"blocks.{block}.{attention}.{p}" for p in "qkvo"]
        modules += [f"blocks.{block}.ffn.0", f"blocks.{block}.ffn.2"]
    modules.append("head.head")
    names = [f"{prefix}{m}.lora_{side}.weight" for m in modules for side in "AB"]
    assert sorted([*names, layers]) == sorted(adapter)
    twice = {name: tensor * 2 for name, tensor in adapter.items()}
    values = [twice[name] for name in names]
    values += [torch.zeros_like(adapter[layers]), twice[layers]]
    (checkpoint / "ema").mkdir()
    torch.save({"decay": 0.9999, "shadow_params": values}, checkpoint / "ema" / "ema_model.pt")
    return twice


def test_averaged_weights_take_the_place_of_the_adapters(
    base: Path, checkpoint: Path, tmp_path: Path
) -> None:
    twice = write_averages(checkpoint)
    averaged = convert(base, tmp_path / "ema", "--adapter", str(checkpoint), "--ema")
    save_file(twice, checkpoint / "adapter_model.safetensors")
    plain = convert(base, tmp_path / "plain", "--adapter", str(checkpoint))
    ours, theirs = (load_transformer(m / "transformer").state_dict() for m in (averaged, plain))
    assert ours["layer_modulation"].any()
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


def test_averages_of_another_network_are_refused(
    base: Path, checkpoint: Path, tmp_path: Path
) -> None:
    write_averages(checkpoint)
    saved = torch.load(checkpoint / "ema" / "ema_model.pt", weights_only=True)
    saved["shadow_params"] = saved["shadow_params"][2:]
    torch.save(saved, checkpoint / "ema" / "ema_model.pt")
    options = WanModelOptions(name="wan", title="Wan", adapter=checkpoint, ema=True)
    with pytest.raises(BadCheckpoint, match=r"52 averaged tensors .* 53"):
        convert_model(base, tmp_path / "out", options)


class Shell:
    """What a pickle can do that is no tensor."""

    def __reduce__(self) -> tuple:
        return os.system, ("false",)


def test_a_pickle_that_is_more_than_tensors_is_refused(base: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(base, tmp_path / "base"))
    torch.save({"encoder.conv1.weight": Shell()}, source / "Wan2.1_VAE.pth")
    with pytest.raises(BadCheckpoint, match="holds more than tensors"):
        convert_model(source, tmp_path / "out", OPTIONS)
    assert {each.name for each in tmp_path.iterdir()} == {"base"}


def test_an_adapter_of_another_width_is_refused_with_the_numbers(
    base: Path, checkpoint: Path, tmp_path: Path
) -> None:
    path = checkpoint / "adapter_model.safetensors"
    adapter = load_file(path)
    name = "base_model.model.blocks.0.self_attn.q.lora_A.weight"
    save_file(adapter | {name: torch.zeros(4, 64)}, path)
    options = WanModelOptions(name="wan", title="Wan", adapter=checkpoint)
    with pytest.raises(BadCheckpoint, match=r"\(128, 64\), but the base has \(128, 128\)"):
        convert_model(base, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["mask_vae_projects.pt", "mask_vae.pt", "mask_encoder.pt"])
def test_other_mask_modes_are_refused(
    base: Path, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    (checkpoint / name).write_bytes(b"")
    options = WanModelOptions(name="wan", title="Wan", adapter=checkpoint)
    with pytest.raises(BadCheckpoint, match=name):
        convert_model(base, tmp_path / "out", options)


@pytest.mark.parametrize("name", ["Wan2.1_VAE.pth", "google/umt5-xxl", "config.json"])
def test_a_missing_file_is_named(base: Path, tmp_path: Path, name: str) -> None:
    source = Path(shutil.copytree(base, tmp_path / "base"))
    path = source / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelNotFound, match=name):
        convert_model(source, tmp_path / "out", OPTIONS)
