"""Transformers to be trained: new ones, and the LayerAdaLN rows of their foregrounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from layert2v_engine.layout import FOREGROUND_ROLES, StreamRole
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel


def role_names(foregrounds: int, *, shadows: bool = True) -> tuple[str, ...]:
    """Return the names of LayerAdaLN rows: one a role, and own ones for later foregrounds.

    shadows: whether there are streams of them.
    """
    numbers = range(2, foregrounds + 1)
    later = (f"{role}_{k:02d}" for k in numbers for role in _roles(FOREGROUND_ROLES, shadows))
    return (*(role.value for role in _roles(StreamRole, shadows)), *later)


def foregrounds_of(rows: int, *, shadows: bool = True) -> int:
    """Return how many foregrounds a transformer with so many LayerAdaLN rows was trained for."""
    once, each = (len(_roles(roles, shadows)) for roles in (StreamRole, FOREGROUND_ROLES))
    return max(1, 1 + (rows - once) // each)


def _roles(roles: Iterable[StreamRole], shadows: bool) -> tuple[StreamRole, ...]:
    return tuple(role for role in roles if shadows or role is not StreamRole.shadow)


def expand_roles(
    weights: Mapping[str, Tensor], names: Sequence[str], *, shadows: bool = True
) -> Tensor:
    """Return LayerAdaLN rows [R, 6, D] for ``names``; new foregrounds get those of the first."""
    table = weights["layer_modulation"]
    known = role_names(foregrounds_of(len(table), shadows=shadows), shadows=shadows)
    rows = [known.index(name if name in known else name.rpartition("_")[0]) for name in names]
    return table[rows].clone()


def new_transformer(
    settings: Mapping[str, Any], channels: int, roles: Sequence[str] = role_names(1)
) -> LayeredWanTransformer3DModel:
    """Return a new transformer for latents of so many channels.

    Text embeddings have the width of MiniLM's unless the settings say otherwise.
    """
    torch.manual_seed(0)
    required = {"in_channels": channels, "out_channels": channels, "roles": list(roles)}
    model = LayeredWanTransformer3DModel(**{"text_dim": 384, **settings, **required})
    # A network trained from scratch tells roles apart from the first step; a fine-tuned Wan starts
    # at zero instead.
    nn.init.normal_(model.layer_modulation, std=0.02)
    if model.position_table is not None:
        nn.init.normal_(model.position_table, std=0.02)
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    return model
