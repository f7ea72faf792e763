"""Low-rank updates of frozen layers (LoRA): added to be trained, kept apart, and merged.

Knows layers and their weights, not what is learned. Source: arXiv 2106.09685.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from layert2v_engine.model.diffusers_classes import AutoencoderKLWan, WanCausalConv3d

DOWN, UP = ".down.weight", ".up.weight"


class LoRAConv2d(nn.Module):
    """A frozen convolution plus scale * up(down(x)).

    ``up`` starts at zero, so it starts equal to its base.
    """

    def __init__(self, base: nn.Conv2d, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        kernel, stride, padding = (
            cast(Any, x) for x in (base.kernel_size, base.stride, base.padding)
        )
        self.down = nn.Conv2d(base.in_channels, rank, kernel, stride, padding, bias=False)
        self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, h, w] to [N, out_channels, h', w']."""
        return cast(Tensor, self.base(x) + self.scale * self.up(self.down(x)))


class LoRACausalConv3d(nn.Module):
    """The same for a causal convolution of Wan's autoencoder, which has a cache of past frames."""

    def __init__(self, base: WanCausalConv3d, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        side, _, rows, _, frames, _ = base._padding  # twice the frames, all of them before
        kernel, stride = (cast(Any, x) for x in (base.kernel_size, base.stride))
        padding = (frames // 2, rows, side)
        self.down = WanCausalConv3d(base.in_channels, rank, kernel, stride, padding)
        self.down.register_parameter("bias", None)
        self.up = nn.Conv3d(rank, base.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, cache: Tensor | None = None) -> Tensor:
        """Convolve [N, C, F, h, w] after the frames ``cache`` to [N, out_channels, F, h', w']."""
        update: Tensor = self.up(self.down(x, cache))
        return cast(Tensor, self.base(x, cache) + self.scale * update)


class LoRALinear(nn.Module):
    """The same for a linear layer of a transformer."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        return cast(Tensor, self.base(x) + self.scale * self.up(self.down(x)))


def add_transformer_lora(
    transformer: nn.Module, targets: Sequence[str], *, rank: int, alpha: float
) -> None:
    """Give the linear layers of a transformer's blocks trainable low-rank updates, in place.

    All else in it is frozen. targets: ends of the names of layers, such as ``attn1.to_q``. Raises
    ValueError for one that no layer has.
    """
    transformer.requires_grad_(False)
    layers = {n: m for n, m in transformer.named_modules() if isinstance(m, nn.Linear)}
    for target in targets:
        found = [n for n in layers if n.startswith("blocks.") and n.endswith(f".{target}")]
        if not found:
            raise ValueError(target)
        for name in found:
            parent, _, attribute = name.rpartition(".")
            low_rank = LoRALinear(layers.pop(name), rank, alpha)
            setattr(transformer.get_submodule(parent), attribute, low_rank)


def add_wan_lora(vae: AutoencoderKLWan, *, rank: int, alpha: float) -> AutoencoderKLWan:
    """Return Wan's autoencoder with trainable updates of all causal convolutions it decodes with.

    Its other weights are frozen and shared with the one that was given.
    """
    adapted = _share_weights(vae.requires_grad_(False))
    for name, module in list(adapted.named_modules()):
        is_decoded_with = name.startswith("decoder.") or name == "post_quant_conv"
        if isinstance(module, WanCausalConv3d) and is_decoded_with:
            parent, _, attribute = name.rpartition(".")
            low_rank = LoRACausalConv3d(module, min(rank, module.out_channels), alpha)
            setattr(adapted.get_submodule(parent), attribute, low_rank)
    return cast(AutoencoderKLWan, adapted)


def add_lora(decoder: nn.Module, *, rank: int, alpha: float) -> nn.Module:
    """Return a copy of a decoder whose convolutions carry trainable low-rank updates.

    All else in it is frozen.
    """
    adapted = copy.deepcopy(decoder).requires_grad_(False)
    for name, module in list(adapted.named_modules()):
        if isinstance(module, nn.Conv2d):
            parent = adapted.get_submodule(name.rpartition(".")[0])
            setattr(
                parent,
                name.rpartition(".")[2],
                LoRAConv2d(module, min(rank, module.out_channels), alpha),
            )
    return adapted


def lora_state(adapted: nn.Module) -> dict[str, Tensor]:
    """Return the trained tensors: ``<conv>.down.weight``, ``<conv>.up.weight``, ``<conv>.scale``.

    The scale is a tensor [1].
    """
    state: dict[str, Tensor] = {}
    for name, module in adapted.named_modules():
        if isinstance(module, LoRAConv2d | LoRACausalConv3d | LoRALinear):
            state[f"{name}.down.weight"] = module.down.weight.detach().clone()
            state[f"{name}.up.weight"] = module.up.weight.detach().clone()
            state[f"{name}.scale"] = torch.tensor([module.scale])
    return state


@torch.no_grad()
def merge_lora(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a network with the updates of ``lora_state`` merged into its layers.

    W + scale * up @ down, exact, in any number of dimensions. Weights without an update are shared
    with the network that was given, which stays as it is.
    """
    merged = _share_weights(network)
    for name in sorted({key.rsplit(".", 2)[0] for key in state if key.endswith(".down.weight")}):
        conv = cast(nn.Conv2d, merged.get_submodule(name))
        down, up = state[f"{name}.down.weight"].float(), state[f"{name}.up.weight"].float()
        scale = state[f"{name}.scale"].float()
        update = torch.einsum("or,r...->o...", up.flatten(1), down) * scale.to(down)
        weight = conv.weight + update.to(conv.weight)
        conv.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    return merged


def merge_weights(
    base: Mapping[str, Tensor], trained: Mapping[str, Tensor], scale: float
) -> dict[str, Tensor]:
    """Return the weights of a plain network: ``base``, with what was trained beside or in it.

    trained: updates ``<layer>.down.weight`` and ``<layer>.up.weight`` of ``LoRALinear`` layers, and
        other weights, which take the place of those of their name. scale: alpha / rank.
    """
    merged = dict(base)
    for name, tensor in trained.items():
        if name.endswith(DOWN):
            layer = name.removesuffix(DOWN)
            up = trained[f"{layer}{UP}"].float()
            merged[f"{layer}.weight"] = (
                base[f"{layer}.weight"].float() + scale * up @ tensor.float()
            )
        elif not name.endswith(UP):
            merged[name] = tensor
    return merged


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a network as if its ``LoRALinear`` layers were their bases."""
    return {
        name.replace(".base.", "."): tensor
        for name, tensor in state.items()
        if not name.endswith((DOWN, UP))
    }


def _share_weights(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose parts can be given other weights, and have the same now."""
    shared = copy.copy(network)
    shared._parameters = dict(network._parameters)
    shared._buffers = dict(network._buffers)
    shared._modules = {
        name: None if part is None else _share_weights(part)
        for name, part in network._modules.items()
    }
    return shared
