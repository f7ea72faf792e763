"""Phases that train low-rank updates leave whole weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v_engine.errors import BadConfig
from layert2v_engine.training.joint_stage import JointPhaseConfig, run_joint
from layert2v_engine.training.phase_weights import LoRAConfig, ema_path, load_ema
from layert2v_engine.training.stages import run_autoencoder, run_matte
from layert2v_engine.training.trainer_config import TrainerConfig

LORA = LoRAConfig(rank=2, alpha=4.0, targets=("attn1.to_q", "ffn.net.2"))
FIRST, SECOND = (
    replace(phase, trainer=TrainerConfig(steps=2, lr=1e-2, muon_lr=0.0, ema=0.5, warmup_steps=0))
    for phase in JOINT.phases
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a phase of all weights, then one of updates."""
    folder = tmp_path_factory.mktemp("run")
    write_clips(folder)
    run_autoencoder(folder, AUTOENCODER, None)
    run_matte(folder, MATTE, None)
    run_joint(folder, replace(JOINT, phases=(FIRST,)))
    run_joint(folder, replace(JOINT, lora=LORA, phases=(FIRST, SECOND)))
    return folder


def test_only_the_targets_and_the_roles_have_moved(run: Path) -> None:
    before, after = (load_file(ema_path(run, each.name)) for each in (FIRST, SECOND))
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {
        "blocks.0.attn1.to_q.weight",
        "blocks.0.ffn.net.2.weight",
        "layer_modulation",
    }


def test_the_updates_alone_are_there_as_diffusers_names_them(run: Path) -> None:
    with safe_open(run / f"joint_{SECOND.name}" / "lora.safetensors", "pt") as file:
        assert set(file.keys()) == {
            f"blocks.0.{layer}.lora_{side}.weight" for layer in LORA.targets for side in "AB"
        }
        assert file.metadata() == {"rank": "2", "alpha": "4.0"}


def test_an_unfinished_phase_has_whole_weights_too(run: Path) -> None:
    whole = load_ema(run, SECOND.name)
    path = ema_path(run, SECOND.name)
    hidden = path.rename(path.with_name("hidden"))
    try:
        unfinished = load_ema(run, SECOND.name)
    finally:
        hidden.rename(path)
    assert unfinished.keys() == whole.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(unfinished[name], tensor, atol=1e-6, rtol=1e-5)


def test_a_layer_that_is_not_there_is_refused(run: Path, tmp_path: Path) -> None:
    wrong = replace(LORA, targets=("attn3.to_q",))
    entry: JointPhaseConfig = replace(SECOND, name="third")
    config = replace(JOINT, lora=wrong, phases=(FIRST, SECOND, entry))
    with pytest.raises(BadConfig, match=r"attn3\.to_q"):
        run_joint(run, config)
