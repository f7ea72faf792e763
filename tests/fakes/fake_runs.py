"""Runs on the fake GPU, each in a process that never saw torch without it.

Autograd asks for the devices once, at the first backward pass.
"""

from __future__ import annotations

from pathlib import Path

import torch

from fakes.fake_gpu import fake_gpu
from fakes.tiny_model import write_tiny_model
from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v.spec import GenerateSpec
from layert2v_engine.devices import TrainingRng
from layert2v_engine.engine import Engine
from layert2v_engine.training.joint_stage import JointRun, run_joint
from layert2v_engine.training.stages import run_autoencoder, run_matte


def add_across_devices() -> str:
    """Return the error message of a sum of tensors on two devices."""
    with fake_gpu() as gpu:
        assert (torch.ones(2, device=gpu) + 1).device == gpu
        try:
            torch.ones(2, device=gpu) + torch.ones(2)
        except RuntimeError as error:
            return str(error)
    return ""


def train(run: Path) -> None:
    """Train every stage into an empty run folder."""
    torch.set_num_threads(1)
    with fake_gpu() as gpu:
        write_clips(run)
        run_autoencoder(run, AUTOENCODER, None, gpu)
        run_matte(run, MATTE, None, gpu)
        run_joint(run, JOINT, JointRun(device=gpu))


def generate(folder: Path) -> list[str]:
    """Return the layers of a generated stack."""
    torch.set_num_threads(1)
    spec = GenerateSpec(prompt="a fox in a forest at night", model="mini", seed=1, steps=2)
    with fake_gpu() as gpu:
        engine = Engine(write_tiny_model(folder / "models"), str(gpu))
        stack = engine.generate(
            spec, folder / "fox", report=lambda _: None, cancelled=lambda: False
        )
    return [layer.name for layer in stack.layers]


def random_indices(seed: int) -> list[int]:
    """Return indices of a generator whose noise is on the GPU."""
    with fake_gpu() as gpu:
        rng = TrainingRng(seed, gpu)
        assert rng.noise((2, 3)).device == gpu
        return rng.indices(100, 8).tolist()
