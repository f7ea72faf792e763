from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fakes.tiny_weights import TEXT_DIM, write_fun_remover, write_text, write_vae
from layert2v_engine.errors import BadCheckpoint, WeightsMissing
from layert2v_engine.recipes.networks import wan_name
from layert2v_engine.recipes.plate.fun_inpaint import load_fun_network, read_settings
from layert2v_engine.recipes.plate.prompts import REMOVAL_PROMPTS
from layert2v_engine.recipes.text import TOKENS, encode_text
from layert2v_engine.weights.folder import WeightsFolder

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_vae(tmp_path)
    write_fun_remover(tmp_path, "rose")
    write_text(tmp_path, REMOVAL_PROMPTS["rose"])
    return tmp_path


def test_weights_under_wans_names_are_all_read(root: Path) -> None:
    network = load_fun_network("rose", WeightsFolder(root), CPU)._transformer
    stored = load_file(root / "rose" / "transformer.safetensors")
    own = network.state_dict()
    assert {wan_name(name) for name in own} == {*stored}
    for name, tensor in own.items():
        assert torch.equal(tensor.float(), stored[wan_name(name)]), name


def test_a_video_comes_back_in_its_size(root: Path) -> None:
    network = load_fun_network("rose", WeightsFolder(root), CPU)
    network._steps = 2
    video, mask = torch.rand(5, 3, 32, 48), torch.zeros(5, 1, 32, 48)
    shares: list[float] = []
    cleaned = network.remove(video, mask, shares.append)
    assert cleaned.shape == video.shape
    assert 0 <= cleaned.min() <= cleaned.max() <= 1
    assert shares == [0.5, 1.0]
    assert torch.equal(cleaned, network.remove(video, mask, shares.append))
    mask[2, :, 8:24, 8:24] = 1
    assert not torch.equal(cleaned, network.remove(video, mask, shares.append))


def test_another_network_is_refused_in_a_sentence(root: Path) -> None:
    path = root / "rose" / "transformer.safetensors"
    state = load_file(path)
    few = {k: v for k, v in state.items() if "blocks.1.ffn" not in k}
    save_file(few, path)
    with pytest.raises(BadCheckpoint, match=r"blocks.1.ffn.0.weight is missing"):
        load_fun_network("rose", WeightsFolder(root), CPU)
    narrow = {**state, "patch_embedding.weight": state["patch_embedding.weight"][:, :16]}
    with pytest.raises(BadCheckpoint, match="takes 16 channels, not 36"):
        read_settings(root, narrow, "rose")
    with pytest.raises(BadCheckpoint, match=r"img_emb.proj.0.weight is missing"):
        read_settings(root, {k: v for k, v in state.items() if "img_emb" not in k}, "rose")


def test_states_of_a_fixed_prompt_are_kept_in_place_of_the_encoder(root: Path) -> None:
    weights = WeightsFolder(root)
    states = encode_text(REMOVAL_PROMPTS["rose"], weights, CPU)
    assert states.shape == (1, TOKENS, TEXT_DIM)
    with pytest.raises(WeightsMissing, match="UMT5 XXL encoder cannot be used"):
        encode_text(("another prompt",), weights, CPU)
    (path,) = (root / "text").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadCheckpoint, match="cannot be read, or is not whole"):
        encode_text(REMOVAL_PROMPTS["rose"], weights, CPU)
