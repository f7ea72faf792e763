"""The optimizers of a training: Muon for the matrices of transformer blocks, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from layert2v_engine.training.trainer_config import TrainerConfig

DISCRIMINATOR = "discriminator."  # how the names of its parameters begin


def make_optimizers(
    parameters: Mapping[str, nn.Parameter], config: TrainerConfig
) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the transformer blocks if wanted, AdamW for the rest.

    Weight decay is on matrices and kernels alone: norms, biases, LayerAdaLN and position tables
    have values of their own to keep, not directions.
    """
    matrices, others = split_parameters(parameters, config)
    decayed = [p for n, p in others.items() if n.endswith("weight") and p.dim() > 1]
    ids = {id(p) for p in decayed}
    plain = [p for p in others.values() if id(p) not in ids]
    on_gpu = all(p.is_cuda for p in others.values())  # where one kernel for all tensors pays
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            config.lr,
            betas=(0.9, 0.98),
            fused=on_gpu or None,
        )
    ]
    if matrices:
        muon = torch.optim.Muon(
            list(matrices.values()),
            lr=config.muon_lr,
            weight_decay=0.05,
            adjust_lr_fn="match_rms_adamw",
            ns_steps=config.muon_iterations,
        )
        optimizers.append(muon)
    return optimizers


def split_parameters(
    parameters: Mapping[str, nn.Parameter], config: TrainerConfig
) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Return the parameters that Muon trains, and those that AdamW does."""
    matrices = {
        n: p for n, p in parameters.items() if p.dim() == 2 and "blocks." in n and config.muon_lr
    }
    return matrices, {n: p for n, p in parameters.items() if n not in matrices}


def clipped_parts(parameters: Mapping[str, nn.Parameter]) -> list[list[nn.Parameter]]:
    """Return the parameters whose gradients are clipped together: a discriminator's by themselves.

    Its gradients are some 25 times as long as a decoder's, which would be scaled by them.
    """
    apart = [p for n, p in parameters.items() if n.startswith(DISCRIMINATOR)]
    others = [p for n, p in parameters.items() if not n.startswith(DISCRIMINATOR)]
    return [part for part in (others, apart) if part]


def optimizer_state(
    parameters: Mapping[str, nn.Parameter], optimizers: list[torch.optim.Optimizer]
) -> dict[str, dict[str, Tensor]]:
    """Return what the optimizers know of each parameter, by its name."""
    entries = {p: state for optimizer in optimizers for p, state in optimizer.state.items()}
    return {
        name: {key: torch.as_tensor(value) for key, value in entries[parameter].items()}
        for name, parameter in parameters.items()
        if parameter in entries
    }


def load_optimizer_state(
    state: Mapping[str, Mapping[str, Tensor]],
    parameters: Mapping[str, nn.Parameter],
    optimizers: list[torch.optim.Optimizer],
) -> None:
    """Put back what ``optimizer_state`` returned; a parameter that is not in it starts anew."""
    names = {parameter: name for name, parameter in parameters.items()}
    for optimizer in optimizers:
        own = optimizer.state_dict()
        members = [p for group in optimizer.param_groups for p in group["params"]]
        own["state"] = {
            row: dict(state[names[p]]) for row, p in enumerate(members) if names[p] in state
        }
        optimizer.load_state_dict(own)


def fill_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Give parameters that AdamW has not moved yet the state it begins with."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not optimizer.state[parameter]:
                optimizer.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device if group["fused"] else "cpu"),
                    "exp_avg": torch.zeros_like(parameter.detach()),
                    "exp_avg_sq": torch.zeros_like(parameter.detach()),
                }
