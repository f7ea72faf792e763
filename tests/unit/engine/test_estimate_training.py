"""What a step of training would take."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from layert2v_engine.cli.main import main
from layert2v_engine.estimate import ModelShape, estimate_run
from layert2v_engine.estimate_training import TrainingOptions, estimate_training

SHAPE = ModelShape(
    transformer={"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    autoencoder={"_class_name": "PatchAutoencoder", "temporal_factor": 4, "spatial_factor": 8},
    weights={"transformer": 2 * 1_419_000_000},
    dtype=torch.bfloat16,
)
SAMPLE = estimate_run(SHAPE, size=(672, 384), frames=41, foregrounds=1, steps=1, guided=False)
FULL = TrainingOptions()


def test_all_weights_take_twenty_bytes_each_and_their_copies_in_half_precision() -> None:
    memory = estimate_training(SHAPE, SAMPLE, FULL).memory
    states = ("trained weights", "gradients", "moments", "averages")
    assert sum(memory[part] for part in states) == 20 * 1_419_000_000
    assert memory["weights in use"] == 2 * 1_419_000_000


def test_shared_out_weights_are_divided_and_activations_are_not() -> None:
    one, eight = (
        estimate_training(SHAPE, SAMPLE, each).memory
        for each in (FULL, replace(FULL, gpus=8, sharded=True))
    )
    assert eight["moments"] == one["moments"] // 8
    assert eight["activations"] == one["activations"]
    apart = estimate_training(SHAPE, SAMPLE, replace(FULL, gpus=8)).memory
    assert apart == one


def test_updates_and_checkpointing_take_less() -> None:
    full, lora = (
        estimate_training(SHAPE, SAMPLE, each) for each in (FULL, replace(FULL, lora_rank=128))
    )
    assert lora.memory["trained weights"] < full.memory["trained weights"] / 5
    assert lora.flops == full.flops
    kept = estimate_training(SHAPE, SAMPLE, replace(FULL, gradient_checkpointing=False))
    assert kept.memory["activations"] > 5 * full.memory["activations"]
    assert kept.flops == pytest.approx(0.75 * full.flops)


def test_the_command_says_whether_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    request = ["plan", "--model", "wan-1.3b", "--size", "672x384", "--frames", "41", "--train"]
    assert main([*request, "full", "--memory", "80"]) == 0
    assert "on each GPU" in capsys.readouterr().out
    assert main([*request, "full", "--memory", "24"]) == 1
    with pytest.raises(SystemExit):
        main([*request, "lora", "--gpus", "0"])
    assert "must be a whole number from 1 on" in capsys.readouterr().err
