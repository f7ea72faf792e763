"""Model folders that are missing, damaged or hold what is never read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from fakes.tiny_model import INFO, write_tiny_model
from layert2v.spec import GenerateSpec
from layert2v_engine.engine import Engine
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.model.checkpoint import raise_bad_checkpoint
from layert2v_engine.model.components import DECODER_LORA, MATTE, working_dtype
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.pipeline import LayeredPipeline

WEIGHTS = "diffusion_pytorch_model"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "models")


def pickle_instead(weights: Path, name: str) -> None:
    torch.save(load_file(weights), weights.with_name(name))
    weights.unlink()


@pytest.mark.parametrize("part", ["autoencoder", "transformer"])
def test_pickled_weights_are_never_read(models: Path, part: str) -> None:
    pickle_instead(models / "mini" / part / f"{WEIGHTS}.safetensors", f"{WEIGHTS}.bin")
    with pytest.raises(BadCheckpoint, match=f"The {part} .* cannot be loaded"):
        LayeredPipeline.from_pretrained(models / "mini")


def test_a_pickled_text_encoder_is_never_read(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    BertModel(config).save_pretrained(tmp_path)
    pickle_instead(tmp_path / "model.safetensors", "pytorch_model.bin")
    with (
        pytest.raises(BadCheckpoint, match="no file named model"),
        raise_bad_checkpoint("The text"),
    ):
        MiniLMTextEncoder(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("autoencoder/config.json", None),
        ("autoencoder/config.json", b"{"),
        ("autoencoder/config.json", b'{"_class_name": "PatchAutoencoder", "latent_channels": "x"}'),
        (f"autoencoder/{WEIGHTS}.safetensors", None),
        (f"autoencoder/{WEIGHTS}.safetensors", b"damaged"),
        (f"transformer/{WEIGHTS}.safetensors", b"damaged"),
        ("transformer/config.json", b"{}"),
        (f"{MATTE}/{DECODER_LORA}", b"damaged"),
    ],
)
def test_a_damaged_part_is_named(models: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (models / "mini" / name).unlink()
    else:
        (models / "mini" / name).write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"cannot be (loaded|used): .+"):
        LayeredPipeline.from_pretrained(models / "mini")


def test_an_adaptation_of_another_decoder_is_refused(models: Path) -> None:
    path = models / "mini" / MATTE / DECODER_LORA
    save_file({f"other.{key}": value for key, value in load_file(path).items()}, path)
    with pytest.raises(BadCheckpoint, match="autoencoder"):
        LayeredPipeline.from_pretrained(models / "mini")


def test_a_missing_folder_of_models_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=f"There is no folder {tmp_path / 'nope'}"):
        Engine(tmp_path / "nope")


def test_a_broken_model_leaves_the_others_alone(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (models / "broken").mkdir()
    (models / "broken" / "model_index.json").write_bytes(b"\xff")
    with caplog.at_level(logging.WARNING):
        engine = Engine(models)
    assert "model=broken skipped" in caplog.text
    assert INFO.title in [info.title for info in engine.models()]
    spec = GenerateSpec(prompt="a fox", model="broken")
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        engine.generate(spec, tmp_path / "out", report=lambda _: None, cancelled=lambda: False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stored", "held"),
    [("bfloat16", "bfloat16"), ("float16", "float32"), ("float32", "float32")],
)
def test_a_cpu_holds_weights_as_they_are_stored(tmp_path: Path, stored: str, held: str) -> None:
    """Most of them: what is kept in float32 beside bfloat16 decides nothing."""
    many = torch.zeros(100, dtype=getattr(torch, stored))
    save_file({"few": torch.zeros(9), "many": many}, tmp_path / "model.safetensors")
    assert working_dtype(tmp_path, torch.device("cpu")) is getattr(torch, held)
    assert working_dtype(tmp_path, torch.device("cuda")) is torch.bfloat16
