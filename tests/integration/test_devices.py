from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from fakes import fake_runs
from layert2v_engine.devices import BadDevice, TrainingRng, pick_device


@pytest.fixture(scope="module")
def gpu_process() -> Iterator[Executor]:
    """Yield a process with the fake GPU."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


def test_the_fake_gpu_refuses_tensors_on_the_cpu(gpu_process: Executor) -> None:
    assert "on the CPU" in gpu_process.submit(fake_runs.add_across_devices).result()


def test_every_stage_trains_on_another_device(gpu_process: Executor, tmp_path: Path) -> None:
    gpu_process.submit(fake_runs.train, tmp_path).result()
    for folder in ("autoencoder", "matte", "joint_stills", "joint_clips"):
        assert (tmp_path / folder / "sample_final.png").exists()


def test_a_stack_is_generated_on_another_device(gpu_process: Executor, tmp_path: Path) -> None:
    layers = gpu_process.submit(fake_runs.generate, tmp_path).result()
    assert layers == ["bg", "shadow_01", "fg_01"]


def test_a_seed_makes_the_same_choices_on_every_device(gpu_process: Executor) -> None:
    rng = TrainingRng(3, torch.device("cpu"))
    assert gpu_process.submit(fake_runs.random_indices, 3).result() == rng.indices(100, 8).tolist()


def test_a_device_that_is_not_there_is_named() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(BadDevice, match="'toaster'"):
        pick_device("toaster")
