"""Recipes on a device, with networks that take turns on it: what they make is what a CPU makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fakes.layer_check import relative_error
from fakes.tiny_wan import write_stock_folder
from fakes.tiny_weights import write_tiny_weights
from layert2v_engine.recipes.plate.fun_inpaint import load_fun_network
from layert2v_engine.recipes.plate.svor import load_svor
from layert2v_engine.recipes.text_to_video import TextToVideo, load_text_to_video
from layert2v_engine.weights.folder import WeightsFolder

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here; these tests need one")
    return torch.device("cuda")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> WeightsFolder:
    return WeightsFolder(write_tiny_weights(tmp_path_factory.mktemp("weights")))


def remove(name: str, weights: WeightsFolder, device: torch.device) -> Tensor:
    network = load_svor(weights, device) if name == "svor" else None
    network = network or load_fun_network(name, weights, device)
    network._steps = 3
    generator = torch.Generator().manual_seed(1)
    video = torch.rand(9, 3, 64, 96, generator=generator)
    mask = torch.zeros(9, 1, 64, 96)
    mask[3:6, :, 20:40, 30:50] = 1
    return network.remove(video, mask, lambda share: None)


@pytest.mark.parametrize("name", ["svor", "gen-omnimatte-wan", "rose"])
def test_a_plate_equals_the_cpus(cuda: torch.device, weights: WeightsFolder, name: str) -> None:
    made, expected = remove(name, weights, cuda), remove(name, weights, torch.device("cpu"))
    assert relative_error(made, expected) < 0.05  # bfloat16 weights, three steps


@pytest.mark.parametrize("is_large", [False, True])
def test_a_video_equals_the_cpus(cuda: torch.device, tmp_path: Path, is_large: bool) -> None:
    folder = write_stock_folder(tmp_path / "wan")

    def sample(network: TextToVideo) -> Tensor:
        text = torch.randn(2, 512, 32, generator=torch.Generator().manual_seed(1))
        return network.sample(
            text,
            size=(96, 64),
            frames=5,
            steps=3,
            guidance=3.0,
            seed=1,
            on_step=lambda step: None,
        )

    on_cpu = load_text_to_video(folder, torch.device("cpu"))
    expected = sample(on_cpu)
    pipeline = load_text_to_video(folder, torch.device("cpu"))._pipeline
    made = sample(TextToVideo(pipeline, cuda, is_large=is_large))
    assert relative_error(made, expected) < 0.05
