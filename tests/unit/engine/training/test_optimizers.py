from __future__ import annotations

import torch
from torch import nn

from layert2v_engine.training.optimizers import clipped_parts, make_optimizers
from layert2v_engine.training.trainer_config import TrainerConfig


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4)])
        self.conv = nn.Conv2d(2, 2, 3)
        self.norm = nn.LayerNorm(4)
        self.layer_modulation = nn.Parameter(torch.zeros(5, 6, 4))


def test_norms_biases_and_tables_are_not_decayed() -> None:
    model = Block()
    parameters = dict(model.named_parameters())
    adamw, muon = make_optimizers(parameters, TrainerConfig(muon_lr=1e-3, weight_decay=0.1))
    decay = {
        name: group["weight_decay"]
        for group in adamw.param_groups
        for member in group["params"]
        for name, parameter in parameters.items()
        if parameter is member
    }
    assert decay.pop("conv.weight") == 0.1
    assert set(decay) == {
        "blocks.0.bias", "conv.bias", "norm.weight", "norm.bias", "layer_modulation"
    }  # fmt: skip
    assert set(decay.values()) == {0.0}
    assert muon.param_groups[0]["params"] == [model.blocks[0].weight]


def test_a_discriminator_is_clipped_by_itself() -> None:
    networks = nn.ModuleDict({"decoder": nn.Linear(2, 1), "discriminator": nn.Linear(2, 1)})
    own, apart = clipped_parts(dict(networks.named_parameters()))
    assert own == list(networks["decoder"].parameters())
    assert apart == list(networks["discriminator"].parameters())
    assert clipped_parts(dict(networks["decoder"].named_parameters())) == [own]
