from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes.tiny_weights import write_svor, write_text, write_vae
from layert2v_engine.errors import BadCheckpoint, WeightsMissing
from layert2v_engine.recipes.networks import linear_layers
from layert2v_engine.recipes.plate.prompts import REMOVAL_PROMPTS
from layert2v_engine.recipes.plate.svor import GRAY, SvorNetwork, load_svor
from layert2v_engine.weights.folder import WeightsFolder

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_vae(tmp_path)
    write_svor(tmp_path)
    write_text(tmp_path, REMOVAL_PROMPTS["svor"])
    return tmp_path


def load(root: Path) -> SvorNetwork:
    network = load_svor(WeightsFolder(root), CPU)
    network._steps = 2
    return network


def test_both_updates_are_folded_in(root: Path) -> None:
    layers = linear_layers(load(root)._pipeline.transformer)
    stored = load_file(root / "wan2.1-vace-1.3b/transformer/diffusion_pytorch_model.safetensors")
    expected = stored["vace_blocks.0.ffn.net.0.proj.weight"]
    for stage in (1, 2):
        update = load_file(root / "svor" / f"remove_model_stage{stage}.safetensors")
        key = "lora_unet__vace_blocks_0_ffn_0.lora_{}.weight"
        expected = expected + 0.5 * update[key.format("up")] @ update[key.format("down")]
    assert torch.allclose(layers["vace_blocks.0.ffn.0"].weight, expected, atol=1e-6)


def test_the_network_sees_gray_in_place_of_the_subject(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, seen = load(root), {}
    run = type(network._pipeline).__call__

    def record(self: object, **inputs: object) -> object:
        seen.update(inputs)
        return run(self, **inputs)

    monkeypatch.setattr(type(network._pipeline), "__call__", record)
    video, mask = torch.rand(9, 3, 32, 48), torch.zeros(9, 1, 32, 48)
    mask[4, :, 12:20, 20:28] = 1
    shares: list[float] = []
    cleaned = network.remove(video, mask, shares.append)
    assert cleaned.shape == video.shape
    assert 0 <= cleaned.min() <= cleaned.max() <= 1
    assert shares == [0.5, 1.0]
    shown = seen["video"][0]
    assert torch.equal(shown[[0, 1, 2, 3, 5, 6, 7, 8]], video[[0, 1, 2, 3, 5, 6, 7, 8]])
    assert (shown[4, :, 12:20, 20:28] == GRAY).all()
    assert shown[4, 0, 6, 22] == pytest.approx(GRAY)  # six pixels above it
    assert shown[4, 0, 5, 22] == video[4, 0, 5, 22]


def test_the_same_shot_gives_the_same_plate_and_another_mask_another(root: Path) -> None:
    network = load(root)
    video, mask = torch.rand(5, 3, 32, 48), torch.zeros(5, 1, 32, 48)
    first = network.remove(video, mask, lambda share: None)
    assert torch.equal(first, network.remove(video, mask, lambda share: None))
    mask[3, :, 8:24, 8:24] = 1
    assert not torch.equal(first, network.remove(video, mask, lambda share: None))


def test_updates_of_another_width_are_refused_in_a_sentence(root: Path) -> None:
    path = root / "svor" / "remove_model_stage2.safetensors"
    state = load_file(path)
    wide = {k: v.repeat(1, 2) if "down" in k else v for k, v in state.items()}
    save_file(wide, path)
    with pytest.raises(BadCheckpoint, match=r"SVOR's remove_model_stage2.*of another width"):
        load(root)
    path.unlink()
    with pytest.raises(WeightsMissing, match=r"SVOR cannot be used: .*has no remove_model_stage2"):
        load(root)
