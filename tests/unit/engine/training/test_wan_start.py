"""Training from a model made of Wan: its mattes, its layers, and the checkpoint that comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes.tiny_run import JOINT, MATTE, MULTI, noise_clips, scenes, write_clips
from fakes.tiny_wan import SHIFT, write_stock_folder
from layert2v.spec import CLEAN_CONDITIONING, GenerateSpec
from layert2v_engine.devices import CPU
from layert2v_engine.engine import Engine
from layert2v_engine.model.autoencoder import WanAutoencoder
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.model.components import (
    DECODER_LORA,
    load_autoencoder,
    load_matte_vae,
    stored_dtype,
)
from layert2v_engine.model.lora import lora_state
from layert2v_engine.model.wan_model import WanModelOptions, convert_model
from layert2v_engine.stack.inspect import inspect
from layert2v_engine.training.export import export
from layert2v_engine.training.init_from_checkpoint import init_from_checkpoint
from layert2v_engine.training.joint_stage import run_joint, run_multi
from layert2v_engine.training.latents import LatentSet
from layert2v_engine.training.stages import WorldConfig, run_matte
from layert2v_engine.training.wan_matte_phase import WanMattePhase, decode

CHANNELS = 16
ON = replace(JOINT, transformer={})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    stock = write_stock_folder(folder / "stock")
    options = WanModelOptions(name="wan", title="Wan", foregrounds=2, dtype=torch.bfloat16)
    convert_model(stock, folder / "wan", options)
    return folder / "wan"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """One step of the stages ``matte``, ``joint`` and ``multi``."""
    folder = tmp_path_factory.mktemp("run")
    write_clips(folder)
    for count, clips in ((0, 2), (1, 8), (2, 4)):
        latents = torch.randn(clips, 2 + 3 * count, CHANNELS, 2, 6, 8).half()
        coverage = torch.rand(clips, 2 * count, 2, 6, 8).half()
        kept = LatentSet(latents=latents, coverage=coverage, scenes=scenes(count, clips))
        kept.save(folder / f"latents_{count:02d}.safetensors")
    init_from_checkpoint(folder, str(model))
    run_matte(folder, MATTE, None)
    run_joint(folder, ON, None)
    run_multi(folder, ON, MULTI, None)
    return folder


def test_mattes_are_learned_on_wans_own_autoencoder(run: Path) -> None:
    lora = load_file(run / "matte" / "decoder_lora.safetensors")
    assert "post_quant_conv.up.weight" in lora
    assert any(name.startswith("decoder.") and tensor.any() for name, tensor in lora.items())


def test_an_adapted_decoder_is_the_same_when_it_is_loaded(model: Path, tmp_path: Path) -> None:
    """Trained for a step: merged into the weights, it decodes what it did beside them."""
    autoencoder = load_autoencoder(model / "autoencoder", CPU)
    assert isinstance(autoencoder, WanAutoencoder)
    clips = noise_clips(1, 4)
    phase = WanMattePhase(autoencoder, clips, clips, MATTE.chunks, rank=2, alpha=4.0)
    latents = torch.randn(1, CHANNELS, 2, 4, 4)
    with torch.no_grad():
        before = decode(autoencoder, latents)
        assert torch.equal(decode(phase.adapted, latents), before)
        for name, parameter in phase.decoder.named_parameters():
            if name.endswith("up.weight"):
                torch.nn.init.normal_(parameter, std=0.1)
        adapted = decode(phase.adapted, latents)
    save_file(lora_state(phase.decoder), tmp_path / DECODER_LORA)
    loaded = load_matte_vae(autoencoder, tmp_path)
    assert isinstance(loaded, WanAutoencoder)
    with torch.no_grad():
        torch.testing.assert_close(decode(loaded, latents), adapted, atol=1e-4, rtol=0)
        assert torch.equal(decode(autoencoder, latents), before)
        assert not torch.allclose(adapted, before, atol=1e-2)


def test_a_checkpoint_declares_what_its_start_did(run: Path, model: Path, tmp_path: Path) -> None:
    """But for what training changed; and it generates."""
    out = tmp_path / "models" / "wan"
    world = WorldConfig(width=64, height=48, frames=5)
    export(run, out, ON, world, "multi", [MULTI])
    start, config = read_index(model), read_index(out)
    for name in ("solver", "noise_levels", "timesteps", "guidance_interval", "frames_per_stream"):
        assert getattr(config, name) == getattr(start, name)
    assert (config.shift, config.text_encoder, config.text_tokens) == (SHIFT, "umt5", 512)
    assert (config.text_padding, config.matte_color, config.untrained) == ("masked", 0.5, False)
    assert (config.info.vocabulary, config.info.max_foregrounds) == ({}, 2)
    same = ("name", "title", "width_range", "frames_range", "default_fps", "default_guidance")
    for name in same:
        assert getattr(config.info, name) == getattr(start.info, name)
    assert CLEAN_CONDITIONING in config.info.abilities
    assert stored_dtype(out / "transformer") is torch.bfloat16
    spec = GenerateSpec(
        prompt="a fox running in the snow", model="wan", width=64, height=64, frames=5, steps=1
    )
    stack = Engine(tmp_path / "models").generate(
        spec, tmp_path / "stack", report=lambda _: None, cancelled=lambda: False
    )
    assert stack.warnings == ()
    assert not inspect(tmp_path / "stack", stack).problems
