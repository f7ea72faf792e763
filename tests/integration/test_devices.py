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
def elsewhere() -> Iterator[Executor]:
    """A process with the pretended GPU."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


def test_the_pretended_gpu_refuses_tensors_left_behind(elsewhere: Executor) -> None:
    assert "on the CPU" in elsewhere.submit(fake_runs.add_across_devices).result()


def test_every_stage_trains_on_another_device(elsewhere: Executor, tmp_path: Path) -> None:
    elsewhere.submit(fake_runs.train, tmp_path).result()
    for folder in ("autoencoder", "matte", "joint_stills", "joint_clips"):
        assert (tmp_path / folder / "sample_final.png").exists()


def test_a_stack_is_drawn_on_another_device(elsewhere: Executor, tmp_path: Path) -> None:
    layers = elsewhere.submit(fake_runs.draw, tmp_path).result()
    assert layers == ["bg", "shadow_01", "fg_01"]


def test_a_seed_makes_the_same_choices_on_every_device(elsewhere: Executor) -> None:
    rng = TrainingRng(3, torch.device("cpu"))
    assert elsewhere.submit(fake_runs.choose, 3).result() == rng.indices(100, 8).tolist()


def test_a_device_that_is_not_there_is_named() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(BadDevice, match="'toaster'"):
        pick_device("toaster")
